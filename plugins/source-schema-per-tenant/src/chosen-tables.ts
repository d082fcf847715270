import { PgsiloError, type RestoreRequest } from '@pgsilo/plugin';
import type { Need } from './about.ts';
import {
  fingerprintOfEntries,
  isTable,
  nameOf,
  placesOf,
  showTable,
  statements,
  tokens,
  type TableName,
  quoteIdentifier,
  selectTables,
  showName,
  splitTableName,
  type Fingerprint,
  type TableSelection,
  type Toc,
  type TocEntry,
} from '@pgsilo/postgres';
import { hasLargeObjects } from './restored-large-objects.ts';

/** The name of a table of a schema, out of `orders`, or `acme.orders` of this very schema. Throws `usage.invalid`. */
export function tableNameIn(schema: string, text: string): string {
  const parts = splitTableName(text)?.map(({ name }) => name);
  const name = parts?.at(-1);
  if (!parts || name === undefined || parts.length > 2)
    throw new PgsiloError(
      'usage.invalid',
      `${JSON.stringify(text)} is not of the form table or schema.table`,
    );
  if (parts.length === 2 && parts[0] !== schema)
    throw new PgsiloError(
      'usage.invalid',
      `table ${JSON.stringify(text)} is not of schema ${showName(schema)}, which is restored`,
    );
  return name;
}

/** The entries of these tables and of what they need of their schema. Throws `restore.no-match`, `usage.invalid`. */
export function chooseTables({ entries }: Toc, schema: string, names: readonly string[]): TableSelection {
  if (names.length === 0)
    throw new PgsiloError('restore.refused', 'no table is named', {
      hint: 'Name tables, or leave --table out.',
    });
  const own = quoteIdentifier(schema);
  return selectTables(
    entries,
    names.map((name) => `${own}.${quoteIdentifier(tableNameIn(schema, name))}`),
  );
}

/** Of the schemas that the whole schema needs, those that the chosen entries are made of. What only points there by a foreign key does without. */
export function schemasNamed(needs: readonly Need[], entries: readonly TocEntry[]): readonly Need[] {
  const named = new Set<string>();
  for (const { definition } of entries.filter(({ desc }) => desc !== 'FK CONSTRAINT')) {
    const all = tokens(definition);
    for (const [at, token] of all.entries()) {
      const next = all[at + 1];
      const name = next?.kind === 'symbol' && next.value === '.' ? nameOf(token) : undefined;
      if (name !== undefined) named.add(name);
    }
  }
  return needs.filter(({ name }) => named.has(name));
}

/** Leaves out foreign keys to tables that are in none of these archives, and says so. */
export function withoutForeignKeysOut(parts: readonly (readonly TocEntry[])[]): {
  readonly parts: readonly (readonly TocEntry[])[];
  readonly warnings: readonly string[];
} {
  const key = (schema: string | undefined, name: string): string => `${schema}\0${name}`;
  const there = new Set(
    parts
      .flat()
      .filter(isTable)
      .map(({ namespace, tag }) => key(namespace, tag)),
  );
  const warnings: string[] = [];
  const kept = parts.map((entries) => {
    const gone = new Set<number>();
    return entries.filter((entry) => {
      const target = entry.desc === 'FK CONSTRAINT' ? targetOf(entry) : undefined;
      if (target && !there.has(key(target.schema, target.name))) {
        gone.add(entry.dumpId);
        warnings.push(
          `foreign key ${showName(entry.tag)} is left out, because table ${showTable(target)} is not restored`,
        );
      } else if (!entry.dependencies.some((id) => gone.has(id))) return true;
      return false;
    });
  });
  return { parts: kept, warnings };
}

/** What a foreign key points at; pg_dump names it with its schema. */
function targetOf({ definition }: TocEntry): TableName | undefined {
  const [statement = []] = statements(definition);
  const at = placesOf(statement, 'REFERENCES').at(-1);
  const schema = at === undefined ? undefined : nameOf(statement[at + 1]);
  const name = at === undefined ? undefined : nameOf(statement[at + 3]);
  return schema === undefined || name === undefined ? undefined : { schema, name };
}

/** @param entries undefined: all were chosen */
export function fingerprintOf(
  fingerprint: Fingerprint | undefined,
  entries: readonly TocEntry[] | undefined,
): Fingerprint | undefined {
  return fingerprint && fingerprintOfEntries(fingerprint, entries);
}

/** A warning, where tables come without the large objects that they may refer to. */
export function withoutObjects({ backup, tables }: RestoreRequest): readonly string[] {
  if (!tables || !hasLargeObjects(backup)) return [];
  return [
    'large objects are not brought back with single tables: numbers of them in these mean nothing, or what is there now',
  ];
}
