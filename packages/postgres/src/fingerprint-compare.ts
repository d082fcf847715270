import { throwIfAborted, type Comparison, type Context } from '@pgsilo/plugin';
import {
  describeFingerprint,
  type Fingerprint,
  type SequenceFingerprint,
  type TableFingerprint,
} from './fingerprint.ts';
import { countTables, extensionConditions, fixOutput, tableKey } from './fingerprint-tables.ts';
import { quoteIdentifier, showName } from './quoting.ts';
import type { Session } from './session.ts';

/** More differences than a person reads; the rest is counted. */
const mostDifferences = 100;

/**
 * Compares the database of `session` with a fingerprint, in one read-only snapshot of its own: tables that are missing, rows, contents where the
 * fingerprint has them, sequences, large objects. Tables that the fingerprint does not name are not looked at.
 * No SQL out of the fingerprint is run: an extension's condition is taken from the database.
 */
export async function compareFingerprint(
  session: Session,
  fingerprint: Fingerprint,
  context: Pick<Context, 'signal'>,
): Promise<Comparison> {
  await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  try {
    await fixOutput(session);
    const found = [
      ...(await compareTables(session, fingerprint, context)),
      ...(await compareSequences(session, fingerprint.sequences, context)),
      ...(await compareLargeObjects(session, fingerprint.largeObjects)),
    ];
    return { compared: describeFingerprint(fingerprint), differences: shortened(found) };
  } finally {
    await session.query('ROLLBACK').catch(() => undefined);
  }
}

/**
 * The same within a transaction of the caller's, which sees what nobody else does yet, and whose settings are as before afterwards.
 * Large objects are the whole database's, and are not looked at.
 */
export async function compareFingerprintWithin(
  session: Session,
  fingerprint: Fingerprint,
  context: Pick<Context, 'signal'>,
): Promise<Comparison> {
  await session.query('SAVEPOINT compare');
  await fixOutput(session);
  const found = [
    ...(await compareTables(session, fingerprint, context)),
    ...(await compareSequences(session, fingerprint.sequences, context)),
  ];
  await session.query('ROLLBACK TO SAVEPOINT compare; RELEASE SAVEPOINT compare');
  return { compared: describeFingerprint(fingerprint), differences: shortened(found) };
}

function shortened(found: readonly string[]): readonly string[] {
  if (found.length <= mostDifferences) return found;
  return [...found.slice(0, mostDifferences), `and ${found.length - mostDifferences} more differences`];
}

async function compareTables(
  session: Session,
  fingerprint: Fingerprint,
  context: Pick<Context, 'signal'>,
): Promise<readonly string[]> {
  const there = await existing(session, fingerprint.tables, ['r', 'p', 'f', 'm']);
  const conditions = await extensionConditions(session);
  const differences: string[] = [];
  const present: TableFingerprint[] = [];
  for (const table of fingerprint.tables) {
    if (there.has(tableKey(table))) present.push(table);
    else differences.push(`table ${display(table)}: not there, the backup has ${rowsText(table.rows)}`);
  }
  const wanted = present.map((table) => ({
    schema: table.schema,
    name: table.name,
    condition: conditions.get(tableKey(table)),
  }));
  const counted = await countTables(session, wanted, fingerprint.kind === 'content', context);
  for (const [index, table] of present.entries()) {
    const now = counted[index]!;
    if (BigInt(now.rows) !== BigInt(table.rows)) {
      const other =
        (wanted[index]!.condition ?? '') === (table.condition ?? '')
          ? ''
          : ' (its extension now counts other rows as its own)';
      differences.push(
        `table ${display(table)}: ${rowsText(now.rows)}, the backup has ${BigInt(table.rows)}${other}`,
      );
    } else if (table.hash !== undefined && table.hash !== now.hash) {
      differences.push(
        `table ${display(table)}: ${rowsText(now.rows)} as in the backup, but their contents differ`,
      );
    }
  }
  return differences;
}

async function compareSequences(
  session: Session,
  sequences: readonly SequenceFingerprint[],
  context: Pick<Context, 'signal'>,
): Promise<readonly string[]> {
  const there = await existing(session, sequences, ['S']);
  const differences: string[] = [];
  for (let from = 0; from < sequences.length; from += 100) {
    throwIfAborted(context.signal);
    const slice = sequences.slice(from, from + 100);
    const present = slice.filter((each) => there.has(tableKey(each)));
    for (const each of slice)
      if (!there.has(tableKey(each))) differences.push(`sequence ${display(each)}: not there`);
    if (present.length === 0) continue;
    const values = await session.query<{ at: number; last: string; called: boolean }>(
      present
        .map(
          (each, at) =>
            `SELECT ${at} AS at, last_value::text AS last, is_called AS called FROM ${quoteIdentifier(each.schema)}.${quoteIdentifier(each.name)}`,
        )
        .join(' UNION ALL '),
    );
    const byPlace = new Map(values.map((value) => [Number(value.at), value]));
    for (const [at, each] of present.entries()) {
      const value = byPlace.get(at);
      if (value && value.last === each.lastValue && value.called === each.isCalled) continue;
      const now = value ? `${value.last}${value.called ? '' : ' (not yet used)'}` : 'nothing';
      differences.push(
        `sequence ${display(each)}: ${now}, the backup has ${each.lastValue}${each.isCalled ? '' : ' (not yet used)'}`,
      );
    }
  }
  return differences;
}

async function compareLargeObjects(session: Session, expected: number): Promise<readonly string[]> {
  const [row] = await session.query<{ count: string }>(
    'SELECT count(*)::text AS count FROM pg_largeobject_metadata',
  );
  const now = Number(row?.count ?? 0);
  return now === expected ? [] : [`${now} large objects, the backup has ${expected}`];
}

async function existing(
  session: Session,
  wanted: readonly { readonly schema: string; readonly name: string }[],
  kinds: readonly string[],
): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  for (let from = 0; from < wanted.length; from += 1000) {
    const slice = wanted.slice(from, from + 1000);
    const rows = await session.query<{ schema: string; name: string }>(
      `SELECT n.nspname::text AS schema, c.relname::text AS name
       FROM unnest($1::text[], $2::text[]) AS w(schema, name)
       JOIN pg_namespace n ON n.nspname = w.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
       WHERE c.relkind::text = ANY($3)`,
      [slice.map((each) => each.schema), slice.map((each) => each.name), kinds],
    );
    for (const row of rows) found.add(tableKey(row));
  }
  return found;
}

function display(object: { readonly schema: string; readonly name: string }): string {
  return `${showName(object.schema)}.${showName(object.name)}`;
}

function rowsText(rows: number | string): string {
  return `${BigInt(rows)} ${BigInt(rows) === 1n ? 'row' : 'rows'}`;
}
