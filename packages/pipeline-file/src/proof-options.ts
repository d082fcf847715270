import { duration, secret } from '@pgsilo/plugin';
import type { Secret } from '@pgsilo/plugin';
import { z } from 'zod';

/** Where copies are restored that prove backups, and the folder for temporary files. */
export interface ScratchOption {
  readonly folder?: string | undefined;
  readonly connection?: Secret | undefined;
  readonly user?: string | undefined;
}

/** A question to restored copies. */
export interface CheckOption {
  readonly name?: string | undefined;
  readonly sql: string;
  readonly expect: string | number | boolean | null;
  readonly units?: string[] | undefined;
  readonly where?: Record<string, string> | undefined;
  readonly database?: string | undefined;
  readonly timeout: number;
}

/** What a drill must keep, in milliseconds. */
export interface ObjectivesOption {
  readonly rto?: number | undefined;
  readonly rpo?: number | undefined;
}

const folder = z
  .string()
  .min(1)
  .refine((path) => !path.startsWith('~'), '"~" is not filled in here: write ${env:HOME}');

const place = z.strictObject({
  folder: folder.optional().meta({
    description: 'Folder for temporary files of restores, and for the server that backups are proved in',
    example: '/var/tmp/pgsilo',
  }),
  connection: secret({
    description:
      'Connection string of a server in which backups are proved; without it pgsilo starts one for it, and throws it away',
    example: 'postgresql://pgsilo@scratch.internal/postgres',
  }).optional(),
  user: z.string().min(1).optional().meta({
    description:
      "The operating system's user that such a server runs as, where pgsilo runs as root; without it pgsilo, or nobody where there is no such user",
    example: 'pgsilo',
  }),
});

export const scratchOption: z.ZodType<string | ScratchOption | undefined> = z
  .union([folder, place])
  .optional()
  .meta({
    description:
      'Folder for temporary files of restores; or that and where backups are proved: `{ folder: …, connection: … }`',
    example: '/var/tmp/pgsilo',
  });

const day = 86_400_000;

const check: z.ZodType<CheckOption> = z.strictObject({
  name: z.string().min(1).max(120).optional().meta({
    description: 'What the check is called in reports; without it its SQL',
    example: 'there are users',
  }),
  sql: z.string().min(1).meta({
    description: 'One statement that returns one value. It cannot write',
    example: 'SELECT count(*) > 0 FROM app.users',
  }),
  expect: z
    .union([z.string().max(10_000), z.number(), z.boolean(), z.null()])
    .default(true)
    .meta({ description: 'The value that it must return', example: true }),
  units: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .meta({ description: 'Only for these units; without it for all tenants', example: ['acme'] }),
  where: z
    .record(z.string().min(1).max(63), z.string().max(256))
    .optional()
    .meta({ description: 'Only for units with all of these labels', example: { plan: 'gold' } }),
  database: z.string().min(1).optional().meta({
    description: 'Of a unit that holds a whole server: the database in which it is asked',
    example: 'nostromo',
  }),
  timeout: duration({ description: 'How long it may take', example: '30s' })
    .refine((wait) => wait >= 1 && wait <= day, 'expected at most 1d')
    .prefault('1m'),
});

export const checksOption: z.ZodType<CheckOption[]> = z
  .array(check)
  .default([])
  .meta({
    description: 'What restored copies are asked by `pgsilo verify --level restore` and `pgsilo drill`',
    example: [{ sql: 'SELECT count(*) > 0 FROM app.users', where: { plan: 'gold' } }],
  });

export const objectivesOption: z.ZodType<ObjectivesOption | undefined> = z
  .strictObject({
    rto: duration({ description: 'How long bringing everything back may take', example: '4h' }).optional(),
    rpo: duration({
      description: 'How old the newest good backup of a unit may be',
      example: '15m',
    }).optional(),
  })
  .refine(({ rto, rpo }) => rto !== undefined || rpo !== undefined, 'expected rto, rpo or both')
  .optional()
  .meta({ description: 'What `pgsilo drill` holds a recovery to', example: { rto: '4h', rpo: '15m' } });
