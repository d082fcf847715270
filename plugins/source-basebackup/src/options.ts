import { size } from '@pgsilo/plugin';
import { connectionShape, type ConnectionShape } from '@pgsilo/postgres/options';
import { z } from 'zod';

type Text = z.ZodString;
type Shape = ConnectionShape & {
  wal: z.ZodDefault<z.ZodEnum<{ include: 'include' }>>;
  checkpoint: z.ZodDefault<z.ZodEnum<{ fast: 'fast'; spread: 'spread' }>>;
  maxRate: z.ZodOptional<z.ZodType<number, string>>;
  schemas: z.ZodDefault<z.ZodBoolean>;
  bin: z.ZodOptional<Text>;
};

/** What BASE_BACKUP takes as MAX_RATE, in bytes a second. */
const [slowest, fastest] = [32 * 1024, 1024 ** 3];

/** Options of `use: basebackup`. */
export const options: z.ZodObject<Shape, z.core.$strict> = z.strictObject({
  ...connectionShape,
  wal: z.enum(['include']).default('include').meta({
    description:
      'Where the write-ahead log is kept that the backup cannot do without. `include`: in the backup, which is then whole by itself.',
    example: 'include',
  }),
  checkpoint: z.enum(['fast', 'spread']).default('fast').meta({
    description:
      'Whether the checkpoint that the backup begins with is made at once, or at the pace of an ordinary one, which takes minutes and disturbs less.',
    example: 'spread',
  }),
  maxRate: size({
    description: 'How much the server may send each second, from 32KiB to 1GiB. It paces itself.',
    example: '50MB',
  })
    .refine((bytes) => bytes >= slowest && bytes <= fastest, 'expected a size from 32KiB to 1GiB')
    .optional(),
  schemas: z.boolean().default(true).meta({
    description:
      'List the schemas of each database in `cluster.json`, so that it is known later which tenants there were. It takes a connection to each database.',
    example: false,
  }),
  bin: z
    .string()
    .min(1)
    .meta({
      description:
        'Folder of `pg_verifybackup`, which looks at what was restored. Default: PATH and where distributions put it.',
      example: '/usr/lib/postgresql/17/bin',
    })
    .optional(),
});

/** The options as the source sees them. */
export type Options = z.output<typeof options>;
