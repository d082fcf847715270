import { PgsiloError } from '@pgsilo/plugin';
import type { TocEntry } from '../archive/index.ts';
import { plural } from '../plural.ts';
import { showName } from '../quoting.ts';
import { splitTableName } from '../table-name.ts';
import { listed } from './problems.ts';

export interface TableName {
  readonly schema: string;
  readonly name: string;
}

/**
 * `public.orders`, each part in double quotes where it holds a dot or a quote: `"odd.schema"."ta""ble"`. Names are taken as they are, upper case included.
 * Throws `usage.invalid`.
 */
export function parseTableName(text: string): TableName {
  const parts = splitTableName(text);
  if (parts?.length === 2) return { schema: parts[0]!.name, name: parts[1]!.name };
  throw new PgsiloError('usage.invalid', `--table ${JSON.stringify(text)} is not of the form schema.table`, {
    hint: 'Write public.orders; a part that holds a dot or a quote goes in double quotes: \'"odd.schema"."ta""ble"\'.',
  });
}

/** As {@link parseTableName} reads it. */
export function showTable(table: TableName): string {
  return [table.schema, table.name]
    .map((each) => (/[".]/.test(each) ? `"${each.replaceAll('"', '""')}"` : showName(each)))
    .join('.');
}

/** Kinds of entries that `--table` can name. */
export function isTable(entry: TocEntry): boolean {
  return (entry.desc === 'TABLE' || entry.desc === 'FOREIGN TABLE') && entry.namespace !== undefined;
}

/** The entries of these tables. Throws `restore.no-match` for names that match none, with those that are near. */
export function findTables(entries: readonly TocEntry[], names: readonly string[]): readonly TocEntry[] {
  const tables = entries.filter(isTable);
  const unmatched: string[] = [];
  const found = names.flatMap((text) => {
    const { schema, name } = parseTableName(text);
    const table = tables.find((entry) => entry.namespace === schema && entry.tag === name);
    if (!table) unmatched.push(problemOf({ schema, name }, entries, tables));
    return table ?? [];
  });
  if (unmatched.length > 0) {
    throw new PgsiloError('restore.no-match', unmatched.join('\n'), {
      hint: tablesHint(tables),
    });
  }
  return [...new Set(found)];
}

function tablesHint(tables: readonly TocEntry[]): string {
  if (tables.length === 0) return 'The backup has no table.';
  const names = tables.map((entry) => showTable({ schema: entry.namespace!, name: entry.tag })).sort();
  return `The backup has ${plural(tables.length, 'table')}: ${listed(names)}`;
}

function problemOf(wanted: TableName, entries: readonly TocEntry[], tables: readonly TocEntry[]): string {
  const other = entries.find((entry) => entry.namespace === wanted.schema && entry.tag === wanted.name);
  if (other) return `${showTable(wanted)} is no table in the backup but a ${other.desc.toLowerCase()}`;
  const near = tables
    .map((entry) => ({ schema: entry.namespace!, name: entry.tag }))
    .map((table) => ({ table, distance: distanceOf(wanted, table) }))
    .filter(({ distance }) => distance <= 2)
    .sort((a, b) => a.distance - b.distance)
    .map(({ table }) => showTable(table));
  const words =
    near.length > 0
      ? `did you mean ${listed(near, 3)}?`
      : `it has ${plural(tables.length, 'table')}, none with a name like it`;
  return `the backup has no table ${showTable(wanted)}: ${words}`;
}

/** Equal names in another schema or another case are nearest. */
function distanceOf(wanted: TableName, table: TableName): number {
  if (wanted.name.toLowerCase() === table.name.toLowerCase()) return wanted.schema === table.schema ? 0 : 1;
  return (
    editDistance(wanted.schema.toLowerCase(), table.schema.toLowerCase(), 2) +
    editDistance(wanted.name.toLowerCase(), table.name.toLowerCase(), 2)
  );
}

/** Levenshtein distance, or `most + 1` when it is more. */
function editDistance(a: string, b: string, most: number): number {
  if (Math.abs(a.length - b.length) > most) return most + 1;
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= b.length; column += 1) {
      const replaced = previous[column - 1]! + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, previous[column]! + 1, current[column - 1]! + 1));
    }
    previous = current;
  }
  return previous[b.length]!;
}
