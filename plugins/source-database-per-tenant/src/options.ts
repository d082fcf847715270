import { z } from 'zod';
import { duration } from '@pgsilo/plugin';
import {
  connectionShape,
  glob,
  programsIssues,
  programsShape,
  type ConnectionShape,
  type ProgramsShape,
} from '@pgsilo/postgres/options';
import { tablePattern } from './table-patterns.ts';

type Text = z.ZodString;
type Texts = z.ZodArray<Text>;
type RegistryShape = { database: Text; query: Text };
type Shape = ConnectionShape &
  ProgramsShape & {
    registry: z.ZodOptional<z.ZodObject<RegistryShape, z.core.$strict>>;
    match: z.ZodOptional<z.ZodUnion<[Text, Texts]>>;
    databases: z.ZodOptional<Texts>;
    exclude: z.ZodOptional<z.ZodUnion<[Text, Texts]>>;
    uncovered: z.ZodDefault<z.ZodEnum<{ warn: 'warn'; ignore: 'ignore' }>>;
    globals: z.ZodDefault<z.ZodBoolean>;
    fingerprint: z.ZodDefault<z.ZodEnum<{ counts: 'counts'; content: 'content'; none: 'none' }>>;
    excludeTableData: z.ZodOptional<Texts>;
    lockTimeout: z.ZodPrefault<z.ZodType<number, string>>;
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

const shape: z.ZodObject<Shape, z.core.$strict> = z.strictObject({
  ...connectionShape,
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
      'What is kept to prove a restore: `counts`, the exact number of rows that pg_dump delivered of each table; `content`, also a hash of their content (reads every table a second time, on the server, and keeps it locked against TRUNCATE meanwhile); or `none`.',
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
  ...programsShape,
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
  for (const issue of programsIssues(values)) context.addIssue(issue);
});

/** The options as the source sees them. */
export type Options = z.output<typeof options>;
