import { PgsiloError } from '@pgsilo/plugin';
import type { TableName } from '@pgsilo/postgres';
import { glob, splitTableName } from '@pgsilo/postgres/options';

type Matcher = (table: TableName) => boolean;

/**
 * A matcher for `schema.table`: each part a pattern, or a name as it is when it stands in double quotes.
 * Throws `config.invalid` when it is not of that form.
 */
export function tablePattern(text: string): Matcher {
  const parts = splitTableName(text);
  if (parts?.length !== 2)
    throw new PgsiloError('config.invalid', `${JSON.stringify(text)} is not of the form schema.table`);
  const [schema, name] = parts.map(({ name: part, quoted }) =>
    quoted ? (other: string) => other === part : glob(part),
  );
  return (table) => schema!(table.schema) && name!(table.name);
}
