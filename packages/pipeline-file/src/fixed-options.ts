import { duration, size } from '@pgsilo/plugin';
import { z } from 'zod';
import { checksOption, objectivesOption, scratchOption } from './proof-options.ts';
import { hooksOption } from './hook-options.ts';
import { isTimezone, retentionOption } from './retention-options.ts';
import { periods } from './retention.ts';
import type { Period } from './retention.ts';

/** Names that no plugin may give to an option of its own: beside its options they would mean something else. */
export const reserved: ReadonlySet<string> = new Set(['checks', 'hooks', 'objectives', 'retention', 'prune']);

/** The keys of a sink, transform or source that are not the plugin's. */
export const fixedKeys = {
  source: ['use'],
  transform: ['use'],
  sink: ['use', 'name', 'required', 'retention', 'accept', 'limits'],
} as const;

const nameForm = /^[a-z][a-z0-9_-]{0,59}$/;
const nameRule = 'lower-case letters, digits, - and _, beginning with a letter, at most 60';

const use = z
  .string()
  .min(1)
  .meta({ description: 'The plugin: its name, a package, or a file as ./my-plugin.ts', example: 'local' });

const source = z.strictObject({ use }).meta({
  description: 'Where the tenants live and how they are read; the options are those of the plugin',
  example: { use: 'database-per-tenant' },
});

const transform = z.strictObject({ use }).meta({
  description: 'What is done to the bytes on their way; the options are those of the plugin',
  example: { use: 'zstd' },
});

const sink = z
  .strictObject({
    use,
    name: z.string().regex(nameForm, `expected a name of ${nameRule}`).optional().meta({
      description: 'What the sink is called; needed to tell two of one plugin apart',
      example: 'offsite',
    }),
    required: z
      .boolean()
      .default(true)
      .meta({ description: 'With false, a failure of this sink is only a warning', example: false }),
    retention: retentionOption.optional(),
    accept: z
      .array(z.enum(periods))
      .min(1)
      .optional()
      .meta({
        description:
          'Takes of each unit only the first good backup of each of these periods; without it every backup',
        example: ['monthly'],
      }),
    limits: z
      .strictObject({
        bytesPerSecond: size({
          description: 'How fast artifacts are sent there at most',
          example: '20MB',
        }).refine((rate) => rate >= 1000, 'expected at least 1kB'),
      })
      .optional()
      .meta({ description: 'How much this sink may be given', example: { bytesPerSecond: '20MB' } }),
  })
  .meta({
    description: 'A place where backups go; the options are those of the plugin',
    example: { use: 'local', path: '/var/backups' },
  });

const hour = 3_600_000;
const day = 24 * hour;

const limits = z
  .strictObject({
    jobs: z.number().int().min(1).max(1000).optional().meta({
      description: 'Jobs that run at once; without it the smaller of 4 and the processors',
      example: 4,
    }),
    memory: size({ description: 'Memory for everything in flight together', example: '512MB' })
      .refine((bytes) => bytes >= 64e6, 'expected at least 64MB')
      .prefault('512MB'),
    attempts: z
      .number()
      .int()
      .min(1)
      .max(100)
      .default(3)
      .meta({ description: 'How often a job is tried in all', example: 3 }),
    backoff: duration({
      description: 'Wait before the second attempt; longer before each further one',
      example: '5s',
    })
      .refine((wait) => wait <= hour, 'expected at most 1h')
      .prefault('5s'),
    // Timers hold 2^31 milliseconds; a longer one would fire at once.
    jobTimeout: duration({ description: 'A job that takes longer is ended', example: '6h' })
      .refine((wait) => wait >= 1000 && wait <= 24 * day, 'expected a duration between 1s and 24d')
      .optional(),
  })
  .meta({ description: 'How much at once, how often, how long', example: { jobs: 4 } });

type FixedShape = {
  pipeline: z.ZodType<string>;
  source: z.ZodType<{ use: string }>;
  transforms: z.ZodType<{ use: string }[]>;
  sinks: z.ZodType<
    {
      use: string;
      name?: string | undefined;
      required: boolean;
      retention?: z.output<typeof retentionOption> | undefined;
      accept?: Period[] | undefined;
      limits?: { bytesPerSecond: number } | undefined;
    }[]
  >;
  retention: z.ZodOptional<typeof retentionOption>;
  prune: z.ZodType<'after-backup' | 'never'>;
  limits: z.ZodType<{
    jobs?: number | undefined;
    memory: number;
    attempts: number;
    backoff: number;
    jobTimeout?: number | undefined;
  }>;
  scratch: typeof scratchOption;
  checks: typeof checksOption;
  objectives: typeof objectivesOption;
  timezone: z.ZodType<string | undefined>;
  labels: z.ZodType<Record<string, string>>;
  hooks: z.ZodOptional<typeof hooksOption>;
};

/** What every pipeline file may hold. The options of plugins are checked apart. */
export const fixedOptions: z.ZodObject<FixedShape, z.core.$strict> = z.strictObject({
  pipeline: z
    .string()
    .regex(nameForm, `expected a name of ${nameRule}: it becomes part of every key in the sinks`)
    .meta({ description: 'Name of the pipeline; part of every key in the sinks', example: 'my-tenants' }),
  source,
  transforms: z
    .array(transform)
    .default([])
    .meta({ description: 'Applied in this order: compress first, then encrypt', example: [{ use: 'zstd' }] }),
  sinks: z
    .array(sink)
    .min(1)
    .meta({
      description: 'Where backups go; each gets all of them, but for those with `accept`',
      example: [{ use: 'local', path: '/var/backups' }],
    }),
  retention: retentionOption.optional(),
  prune: z.enum(['after-backup', 'never']).default('never').meta({
    description: 'With after-backup, each run that ended well is followed by a prune',
    example: 'after-backup',
  }),
  limits: limits.prefault({}),
  scratch: scratchOption,
  checks: checksOption,
  objectives: objectivesOption,
  timezone: z
    .string()
    .refine(isTimezone, 'this time zone is not known')
    .optional()
    .meta({ description: 'Zone of times that name none', example: 'Europe/Berlin' }),
  labels: z
    .record(
      z.string().regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,62}$/, 'expected letters, digits, _ . and -, at most 63'),
      z.string().max(256),
    )
    .default({})
    .meta({ description: 'Added to the labels of every unit', example: { environment: 'production' } }),
  hooks: hooksOption.optional(),
});

export type FixedOptions = z.output<typeof fixedOptions>;
