import { duration } from '@pgsilo/plugin';
import { connectionShape, glob, programsIssues, programsShape } from '@pgsilo/postgres/options';
import type { ConnectionShape, ProgramsShape } from '@pgsilo/postgres/options';
import { z } from 'zod';

type Text = z.ZodString;
type Texts = z.ZodUnion<[Text, z.ZodArray<Text>]>;
type Shape = ConnectionShape &
  ProgramsShape & {
    rolesOnly: z.ZodDefault<z.ZodBoolean>;
    globalsOnly: z.ZodDefault<z.ZodBoolean>;
    excludeDatabase: z.ZodOptional<Texts>;
    noRolePasswords: z.ZodDefault<z.ZodBoolean>;
    lockTimeout: z.ZodPrefault<z.ZodType<number, string>>;
  };

const name: Text = z.string().min(1);
const names: Texts = z.union([name, z.array(name).min(1)]);

const shape: z.ZodObject<Shape, z.core.$strict> = z.strictObject({
  ...connectionShape,
  rolesOnly: z.boolean().default(false).meta({
    description: 'Back up roles alone: neither tablespaces nor databases.',
    example: true,
  }),
  globalsOnly: z.boolean().default(false).meta({
    description: 'Back up roles and tablespaces, and no database.',
    example: true,
  }),
  excludeDatabase: names
    .meta({
      description:
        'Patterns of databases that are left out: `*`, `?` and `[…]`; all other characters mean themselves.',
      example: ['scratch', '*_restored_*'],
    })
    .optional(),
  noRolePasswords: z.boolean().default(false).meta({
    description: 'Leave the passwords of roles out, which takes no right to read pg_authid.',
    example: true,
  }),
  lockTimeout: duration({
    description:
      'How long to wait for a table that a migration has locked, before the unit fails and is tried again.',
    example: '2m',
  }).prefault('60s'),
  ...programsShape,
});

/** Options of `use: dumpall`. */
export const options: z.ZodObject<Shape, z.core.$strict> = shape.superRefine((values, context) => {
  const complain = (message: string, key: keyof Shape): void =>
    context.addIssue({ code: 'custom', message, path: [key] });
  if (values.rolesOnly && values.globalsOnly)
    complain('rolesOnly and globalsOnly exclude each other', 'globalsOnly');
  if ((values.rolesOnly || values.globalsOnly) && values.excludeDatabase !== undefined)
    complain('excludeDatabase means nothing where no database is backed up', 'excludeDatabase');
  for (const pattern of [values.excludeDatabase ?? []].flat()) {
    try {
      glob(pattern);
    } catch (error) {
      complain((error as Error).message, 'excludeDatabase');
    }
  }
  for (const issue of programsIssues(values)) context.addIssue(issue);
});

/** The options as the source sees them. */
export type Options = z.output<typeof options>;
