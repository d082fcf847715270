import { z } from 'zod';
import { secret, type Secret } from '@pgsilo/plugin';
import type { ClientPrograms } from './tools.ts';

// All of this entry is loaded whenever a pipeline file names a source: it must not import what talks to a server.
export { glob } from './glob.ts';
export { splitTableName } from './table-name.ts';

type Text = z.ZodString;
export type ConnectionShape = { connection: z.ZodType<Secret, string> };
export type ProgramsShape = {
  bin: z.ZodOptional<Text>;
  exec: z.ZodOptional<z.ZodArray<Text>>;
  execHost: z.ZodOptional<Text>;
  execPort: z.ZodOptional<z.ZodInt>;
  execQuoting: z.ZodOptional<z.ZodEnum<{ none: 'none'; posix: 'posix' }>>;
};

const name: Text = z.string().min(1);

/** What keeps a text from being a connection string at all; never repeats it, because it may be a password alone. */
function connectionMistake(text: string): string | undefined {
  if (/^postgres(?:ql)?:\/\//.test(text) || /^[A-Za-z_]+\s*=/.test(text)) return undefined;
  const expected = 'expected a connection string such as postgresql://user@host/database';
  return /^\$(?:\w+|\{\w+\})$/.test(text)
    ? `${expected}; for an environment variable write \${env:NAME}`
    : expected;
}

/** The option that says where the server is. */
export const connectionShape: ConnectionShape = {
  connection: secret({
    description:
      "Connection string of the server, as psql takes it: a URI or keywords and values. What it does not say comes from the PG* environment and libpq's files. Its database also carries the run lock.",
    example: 'postgresql://backup@db.internal/platform?sslmode=verify-full',
  }).superRefine((value, context) => {
    const message = connectionMistake(value.reveal().trim());
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  }),
};

/** The options that say where the client programs are. */
export const programsShape: ProgramsShape = {
  bin: name
    .meta({
      description:
        'Folder of the client programs (pg_dump and its kin). Default: PATH and where distributions put them, picked by the version of the server.',
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
};

/** What does not fit together in them. */
export function programsIssues(
  values: ClientPrograms,
): readonly { readonly code: 'custom'; readonly message: string; readonly path: string[] }[] {
  if (values.exec) return [];
  return (['execHost', 'execPort', 'execQuoting'] as const)
    .filter((key) => values[key] !== undefined)
    .map((key) => ({ code: 'custom', message: `${key} means nothing without exec`, path: [key] }));
}
