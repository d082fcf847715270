import { PgsiloError, type Context } from '@pgsilo/plugin';
import { largeObjectsOf, sequenceValue } from './archive/sequence-set.ts';
import type { Toc } from './archive/toc.ts';
import type { Fingerprint, FingerprintKind } from './fingerprint.ts';
import {
  countTables,
  extensionConditions,
  fixOutput,
  tableKey,
  type TableToCount,
} from './fingerprint-tables.ts';
import type { Session } from './session.ts';

/**
 * Takes the fingerprint of what an archive holds: exactly the tables of its TABLE DATA entries, its sequences' values, its large objects.
 * `session` must be in the transaction whose snapshot pg_dump imported; its output settings stay fixed until that transaction ends.
 * Large objects are counted, not hashed. Throws `source.denied` where row security hides rows from the role.
 */
export async function takeFingerprint(
  session: Session,
  toc: Toc,
  kind: FingerprintKind,
  context: Pick<Context, 'signal'>,
): Promise<Fingerprint> {
  return (await prepareFingerprints(session, kind, context))(toc);
}

/** The same for many archives of one database: what is asked once is asked here, each of them costs a question of its own. */
export async function prepareFingerprints(
  session: Session,
  kind: FingerprintKind,
  context: Pick<Context, 'signal'>,
): Promise<(toc: Toc) => Promise<Fingerprint>> {
  await fixOutput(session);
  const conditions = await extensionConditions(session);
  return async (toc) => {
    const tables = tablesOf(toc, conditions);
    const counted = await countTables(session, tables, kind === 'content', context);
    return {
      format: 1,
      kind,
      tables: tables.map((table, index) => ({
        schema: table.schema,
        name: table.name,
        rows: exactNumber(counted[index]!.rows),
        ...(counted[index]!.hash === undefined ? {} : { hash: counted[index]!.hash }),
        ...(table.condition ? { condition: table.condition } : {}),
      })),
      sequences: toc.entries
        .filter((entry) => entry.desc === 'SEQUENCE SET')
        .map((entry) => ({ ...sequenceValue(entry) })),
      largeObjects: toc.entries.reduce((sum, entry) => sum + largeObjectsOf(entry).length, 0),
    };
  };
}

function tablesOf(toc: Toc, conditions: ReadonlyMap<string, string>): readonly TableToCount[] {
  return toc.entries
    .filter((entry) => entry.desc === 'TABLE DATA')
    .map((entry) => {
      if (entry.namespace === undefined) {
        throw new PgsiloError(
          'source.archive-invalid',
          `archive is not valid: table ${entry.tag} has no schema`,
        );
      }
      const table = { schema: entry.namespace, name: entry.tag };
      const condition = conditions.get(tableKey(table));
      return condition ? { ...table, condition } : table;
    });
}

function exactNumber(digits: string): number | string {
  const value = Number(digits);
  return Number.isSafeInteger(value) ? value : digits;
}
