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

type Text = z.ZodString;
type Texts = z.ZodArray<Text>;
type RegistryShape = { database: z.ZodOptional<Text>; query: Text };
type LargeObjects = z.ZodUnion<
  [
    z.ZodEnum<{ refuse: 'refuse'; database: 'database' }>,
    z.ZodObject<{ by: z.ZodLiteral<'owner'> }, z.core.$strict>,
  ]
>;
type Shape = ConnectionShape &
  ProgramsShape & {
    database: z.ZodOptional<Text>;
    registry: z.ZodOptional<z.ZodObject<RegistryShape, z.core.$strict>>;
    match: z.ZodOptional<z.ZodUnion<[Text, Texts]>>;
    schemas: z.ZodOptional<Texts>;
    exclude: z.ZodOptional<z.ZodUnion<[Text, Texts]>>;
    shared: z.ZodOptional<Texts>;
    uncovered: z.ZodDefault<z.ZodEnum<{ warn: 'warn'; ignore: 'ignore' }>>;
    globals: z.ZodDefault<z.ZodBoolean>;
    strategy: z.ZodDefault<z.ZodEnum<{ auto: 'auto'; 'one-pass': 'one-pass'; 'per-schema': 'per-schema' }>>;
    largeObjects: z.ZodDefault<LargeObjects>;
    fingerprint: z.ZodDefault<z.ZodEnum<{ counts: 'counts'; content: 'content'; none: 'none' }>>;
    lockTimeout: z.ZodPrefault<z.ZodType<number, string>>;
  };

const name: Text = z.string().min(1);
const names: z.ZodUnion<[Text, Texts]> = z.union([name, z.array(name).min(1)]);

const registry: z.ZodObject<RegistryShape, z.core.$strict> = z.strictObject({
  database: name
    .meta({
      description: 'The database that the query runs in. Default: the one that the tenants are in.',
      example: 'platform',
    })
    .optional(),
  query: name.meta({
    description:
      'SELECT whose rows are the tenants. Column `schema` is required, `unit` is optional (default: the name of the schema), every other column is a label. Runs read-only.',
    example: 'SELECT schema_name AS schema, subdomain AS unit, plan FROM central.tenants WHERE active',
  }),
});

const largeObjects: LargeObjects = z.union([
  z.enum(['refuse', 'database']),
  z.strictObject({
    by: z.literal('owner').meta({ description: 'What says whose a large object is.', example: 'owner' }),
  }),
]);

const shape: z.ZodObject<Shape, z.core.$strict> = z.strictObject({
  ...connectionShape,
  database: name
    .meta({
      description: 'The database whose schemas are the tenants. Default: that of `connection`.',
      example: 'app',
    })
    .optional(),
  registry: registry
    .meta({
      description: 'Where the list of tenants is kept.',
      example: { query: 'SELECT schema_name AS schema, plan FROM central.tenants' },
    })
    .optional(),
  match: names
    .meta({
      description:
        'Patterns of schemas that are units: `*`, `?` and `[…]`; all other characters mean themselves, `_` and `%` too.',
      example: ['tenant_*'],
    })
    .optional(),
  schemas: z
    .array(name)
    .min(1)
    .meta({ description: 'The schemas that are units, by name.', example: ['acme', 'globex'] })
    .optional(),
  exclude: names
    .meta({
      description: 'Patterns of schemas that are not backed up at all, although `match` may fit.',
      example: ['scratch', '*_old'],
    })
    .optional(),
  shared: z
    .array(name)
    .min(1)
    .meta({
      description:
        'Schemas that all tenants use. They are units too, with the label `role: shared`, and backed up with each run.',
      example: ['central', 'parameters'],
    })
    .optional(),
  uncovered: z.enum(['warn', 'ignore']).default('warn').meta({
    description:
      'What is said of schemas that no rule covers. They are backed up as a part of the unit `@database`.',
    example: 'ignore',
  }),
  globals: z.boolean().default(true).meta({
    description:
      "Back up the server's roles and tablespaces as the unit `@globals`. `false` where another pipeline of the same server does.",
    example: false,
  }),
  strategy: z.enum(['auto', 'one-pass', 'per-schema']).default('auto').meta({
    description:
      'How the schemas are read, all at one moment either way. `one-pass`: one pg_dump of the database, split on its way. `per-schema`: a pg_dump for each, several at a time, which pays for few large ones. `auto` takes the latter for up to 16 schemas of a gigabyte each on average; `pgsilo plan` says which and why.',
    example: 'per-schema',
  }),
  largeObjects: largeObjects.default('refuse').meta({
    description:
      'Large objects belong to no schema. `refuse`: a database that has some is not backed up. `database`: they are a part of the unit `@database`, and no tenant is given any. `by: owner`: each is a part of the tenant whose schema its owner owns, where that role owns the schema of one tenant alone, else of `@database`; it takes pg_dump 17 or later.',
    example: { by: 'owner' },
  }),
  fingerprint: z.enum(['counts', 'content', 'none']).default('counts').meta({
    description:
      'What is kept to prove a restore: `counts`, the exact number of rows that pg_dump delivered of each table; `content`, also a hash of their content (reads every table a second time, on the server, and keeps it locked against TRUNCATE meanwhile); or `none`.',
    example: 'content',
  }),
  lockTimeout: duration({
    description:
      'How long to wait for a table that a migration has locked, before the run fails and is tried again.',
    example: '2m',
  }).prefault('60s'),
  ...programsShape,
});

/** Options of `use: schema-per-tenant`. */
export const options: z.ZodObject<Shape, z.core.$strict> = shape.superRefine((values, context) => {
  const rules = (['registry', 'match', 'schemas'] as const).filter((key) => values[key] !== undefined);
  if (rules.length !== 1) {
    const message = `exactly one of registry, match and schemas says which schemas are units; ${rules.length ? `there are ${rules.join(' and ')}` : 'there is none'}`;
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
  if (values.strategy === 'per-schema' && typeof values.largeObjects !== 'string')
    context.addIssue({
      code: 'custom',
      message: 'large objects are told apart by owner in one pass alone: not with strategy: per-schema',
      path: ['largeObjects'],
    });
  for (const issue of programsIssues(values)) context.addIssue(issue);
});

/** The options as the source sees them. */
export type Options = z.output<typeof options>;
