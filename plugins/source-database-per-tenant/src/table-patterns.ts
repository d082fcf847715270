import { PgsiloError } from '@pgsilo/plugin';
import { glob } from '@pgsilo/postgres/options';

export interface TableName {
  readonly schema: string;
  readonly name: string;
}

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

const part = /(?:"((?:[^"]|"")+)"|([^".]+))/y;

export interface NamePart {
  readonly name: string;
  readonly quoted: boolean;
}

/** The parts between dots, double quotes undone; undefined when the quotes are not in order or a part is empty. */
export function splitTableName(text: string): readonly NamePart[] | undefined {
  const parts: NamePart[] = [];
  let at = 0;
  for (;;) {
    part.lastIndex = at;
    const match = part.exec(text);
    if (!match) return undefined;
    const [, quoted, plain] = match;
    parts.push(
      quoted === undefined
        ? { name: plain!, quoted: false }
        : { name: quoted.replaceAll('""', '"'), quoted: true },
    );
    at = part.lastIndex;
    if (at === text.length) return parts;
    if (text[at] !== '.') return undefined;
    at += 1;
  }
}
