import { z } from 'zod';
import { duration, secret, type Secret } from '@pgsilo/plugin';
import { glob } from './glob.ts';
import { tablePattern } from './table-patterns.ts';

type Text = z.ZodString;
type Texts = z.ZodArray<Text>;
type RegistryShape = { database: Text; query: Text };
type Shape = {
  connection: z.ZodType<Secret, string>;
  registry: z.ZodOptional<z.ZodObject<RegistryShape, z.core.$strict>>;
  match: z.ZodOptional<z.ZodUnion<[Text, Texts]>>;
  databases: z.ZodOptional<Texts>;
  exclude: z.ZodOptional<z.ZodUnion<[Text, Texts]>>;
  uncovered: z.ZodDefault<z.ZodEnum<{ warn: 'warn'; ignore: 'ignore' }>>;
  globals: z.ZodDefault<z.ZodBoolean>;
  fingerprint: z.ZodDefault<z.ZodEnum<{ counts: 'counts'; content: 'content'; none: 'none' }>>;
  excludeTableData: z.ZodOptional<Texts>;
  lockTimeout: z.ZodPrefault<z.ZodType<number, string>>;
  bin: z.ZodOptional<Text>;
  exec: z.ZodOptional<Texts>;
  execHost: z.ZodOptional<Text>;
  execPort: z.ZodOptional<z.ZodInt>;
  execQuoting: z.ZodOptional<z.ZodEnum<{ none: 'none'; posix: 'posix' }>>;
};

const name: Text = z.string().min(1);
const names: z.ZodUnion<[Text, Texts]> = z.union([name, z.array(name).min(1)]);

const registry: z.ZodObject<RegistryShape, z.core.$strict> = z.strictObject({
  database: name.meta({
    description:
      'The database that the query runs in. It is backed up too, as a unit of its own with the label `role: registry`.',
    example: 'platform',
  }),
  query: name.meta({
    description:
      'SELECT whose rows are the tenants. Column `database` is required, `unit` is optional (default: the name of the database), every other column is a label. Runs read-only.',
    example: 'SELECT db_name AS database, subdomain AS unit, plan FROM tenants WHERE active',
  }),
});

/** What keeps a text from being a connection string at all; never repeats it, because it may be a password alone. */
function connectionMistake(text: string): string | undefined {
  if (/^postgres(?:ql)?:\/\//.test(text) || /^[A-Za-z_]+\s*=/.test(text)) return undefined;
  const expected = 'expected a connection string such as postgresql://user@host/database';
  return /^\$(?:\w+|\{\w+\})$/.test(text)
    ? `${expected}; for an environment variable write \${env:NAME}`
    : expected;
}

const shape: z.ZodObject<Shape, z.core.$strict> = z.strictObject({
  connection: secret({
    description:
      "Connection string of the server, as psql takes it: a URI or keywords and values. What it does not say comes from the PG* environment and libpq's files. Its database also carries the run lock.",
    example: 'postgresql://backup@db.internal/platform?sslmode=verify-full',
  }).superRefine((value, context) => {
    const message = connectionMistake(value.reveal().trim());
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  }),
  registry: registry
    .meta({
      description: 'Where the list of tenants is kept.',
      example: { database: 'platform', query: 'SELECT db_name AS database, plan FROM tenants' },
    })
    .optional(),
  match: names
    .meta({
      description:
        'Patterns of databases that are units: `*`, `?` and `[…]`; all other characters mean themselves.',
      example: ['tenant_*'],
    })
    .optional(),
  databases: z
    .array(name)
    .min(1)
    .meta({ description: 'The databases that are units, by name.', example: ['acme', 'globex'] })
    .optional(),
  exclude: names
    .meta({
      description:
        'Patterns of databases that are no units although `match` fits; none of them is reported as forgotten.',
      example: ['*_restored_*', 'scratch'],
    })
    .optional(),
  uncovered: z.enum(['warn', 'ignore']).default('warn').meta({
    description:
      'What is said of databases on the server that no rule covers. `ignore` where other pipelines back them up.',
    example: 'ignore',
  }),
  globals: z.boolean().default(true).meta({
    description: "Back up the server's roles and tablespaces as the unit `@globals`.",
    example: true,
  }),
  fingerprint: z.enum(['counts', 'content', 'none']).default('counts').meta({
    description:
      'What is kept to prove a restore: exact row counts of all tables, also a hash of their content (reads everything twice), or nothing.',
    example: 'content',
  }),
  excludeTableData: z
    .array(name)
    .min(1)
    .meta({
      description:
        'Tables whose rows are left out, as `schema.table` in each of which patterns may stand, names in double quotes as they are; partitions follow their table. They come back empty. A table that others refer to by a foreign key cannot be left out alone.',
      example: ['audit.*', 'public.request_log'],
    })
    .optional(),
  lockTimeout: duration({
    description:
      'How long to wait for a table that a migration has locked, before the unit fails and is tried again.',
    example: '2m',
  }).prefault('60s'),
  bin: name
    .meta({
      description:
        'Folder of pg_dump and pg_restore. Default: PATH and where distributions put them, picked by the version of the server.',
      example: '/usr/lib/postgresql/17/bin',
    })
    .optional(),
  exec: z
    .array(name)
    .min(1)
    .meta({
      description:
        'A command that runs the client programs somewhere else. There they reach the server by their own defaults, unless `execHost` and `execPort` say how.',
      example: ['docker', 'exec', '-i', '-e', 'PGPASSWORD', 'postgres'],
    })
    .optional(),
  execHost: name
    .meta({
      description: 'Host of the server as seen from where `exec` runs programs.',
      example: 'localhost',
    })
    .optional(),
  execPort: z
    .int()
    .min(1)
    .max(65_535)
    .meta({ description: 'Port of the server as seen from there.', example: 5432 })
    .optional(),
  execQuoting: z
    .enum(['none', 'posix'])
    .meta({
      description:
        'Whether `exec` hands its arguments to a POSIX shell, which they are quoted for. Default: `posix` for ssh, else `none`.',
      example: 'posix',
    })
    .optional(),
});

/** Options of `use: database-per-tenant`. */
export const options: z.ZodObject<Shape, z.core.$strict> = shape.superRefine((values, context) => {
  const rules = (['registry', 'match', 'databases'] as const).filter((key) => values[key] !== undefined);
  if (rules.length !== 1) {
    const message = `exactly one of registry, match and databases says which databases are units; ${rules.length ? `there are ${rules.join(' and ')}` : 'there is none'}`;
    context.addIssue({ code: 'custom', message, path: rules[1] ? [rules[1]] : [] });
  }
  for (const key of ['match', 'exclude'] as const) {
    for (const pattern of [values[key] ?? []].flat()) {
      try {
        glob(pattern);
      } catch (error) {
        context.addIssue({ code: 'custom', message: (error as Error).message, path: [key] });
      }
    }
  }
  for (const [index, pattern] of (values.excludeTableData ?? []).entries()) {
    try {
      tablePattern(pattern);
    } catch (error) {
      const path = ['excludeTableData', index];
      context.addIssue({ code: 'custom', message: (error as Error).message, path });
    }
  }
  for (const key of ['execHost', 'execPort', 'execQuoting'] as const) {
    if (values[key] !== undefined && !values.exec)
      context.addIssue({ code: 'custom', message: `${key} means nothing without exec`, path: [key] });
  }
});

/** The options as the source sees them. */
export type Options = z.output<typeof options>;
