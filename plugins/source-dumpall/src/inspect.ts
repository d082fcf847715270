import type { BackupView, Body, Context, Inspection } from '@pgsilo/plugin';
import { artifactOf, plural } from '@pgsilo/postgres';
import { ContentsReader, type Contents } from './contents.ts';
import { artifactName } from './read.ts';

/** Reads the dump to its end and says what it holds. Throws `source.archive-invalid`. */
export async function inspectCluster(backup: BackupView, context: Context): Promise<Inspection> {
  const contents = await readContents(artifactOf(backup, artifactName).open(), context);
  return { summary: describeContents(contents) };
}

export async function readContents(body: Body, { signal }: Pick<Context, 'signal'>): Promise<Contents> {
  const reader = new ContentsReader();
  for await (const chunk of body) {
    signal.throwIfAborted();
    reader.push(chunk);
  }
  return reader.end();
}

/** `3 databases, 5 roles, 14 tables, 2,310,442 rows` */
export function describeContents({ databases, roles }: Contents): string {
  const sum = (key: 'tables' | 'rows'): number => databases.reduce((total, one) => total + one[key], 0);
  return [
    plural(databases.length, 'database'),
    plural(roles.length, 'role'),
    plural(sum('tables'), 'table'),
    plural(sum('rows'), 'row'),
  ].join(', ');
}
