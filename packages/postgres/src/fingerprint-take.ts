import { isPgsiloError, PgsiloError, type Context } from '@pgsilo/plugin';
import type { ArchiveContents, ObservedArchive } from './archive/index.ts';
import { largeObjectsOf, sequenceValue } from './archive/sequence-set.ts';
import type { Toc } from './archive/toc.ts';
import type { Fingerprint, FingerprintKind, TableFingerprint } from './fingerprint.ts';
import {
  countTables,
  extensionConditions,
  fixOutput,
  tableKey,
  type TableToCount,
} from './fingerprint-tables.ts';
import type { Session } from './session.ts';

/** Takes the fingerprint of an archive as it goes by; never rejects, because nobody listens until the archive has ended. */
export type TakeFingerprint = (archive: ObservedArchive) => Promise<Fingerprint | PgsiloError>;

/**
 * How the archives of one database are to be fingerprinted: exactly the tables of their TABLE DATA entries, their sequences' values, their large objects.
 * `counts` are the rows that pg_dump delivered. `content` reads the tables a second time, on the server, and hashes them there, large objects not: `session` must be in the transaction
 * whose snapshot pg_dump imported, with its tables locked (`lockTables`); its output settings stay fixed until that transaction ends.
 * What is asked once is asked here. Resolves with `source.denied` where row security hides rows from the role.
 */
export async function prepareFingerprints(
  session: Session,
  kind: FingerprintKind,
  context: Pick<Context, 'signal'>,
): Promise<TakeFingerprint> {
  if (kind === 'content') await fixOutput(session);
  const conditions = await extensionConditions(session);
  return async (archive) => {
    try {
      return kind === 'counts'
        ? deliveredFingerprint(await archive.contents, conditions)
        : await hashedFingerprint(session, await archive.toc, conditions, context);
    } catch (error) {
      return isPgsiloError(error)
        ? error
        : new PgsiloError('internal', `the fingerprint failed: ${String(error)}`, { cause: error });
    }
  };
}

/** What `contents` say themselves. */
function deliveredFingerprint(
  { toc, data }: ArchiveContents,
  conditions: ReadonlyMap<string, string>,
): Fingerprint {
  const tables = tablesOf(toc, conditions).map(({ dumpId, ...table }) => {
    const rows = data.get(dumpId)?.rows;
    if (rows === undefined)
      throw new PgsiloError('internal', `the rows of table ${table.name} did not come as COPY text`);
    return { ...table, rows };
  });
  return fingerprintOf('counts', toc, tables);
}

async function hashedFingerprint(
  session: Session,
  toc: Toc,
  conditions: ReadonlyMap<string, string>,
  context: Pick<Context, 'signal'>,
): Promise<Fingerprint> {
  const tables = tablesOf(toc, conditions);
  const counted = await countTables(session, tables, true, context);
  const hashed = tables.map(({ dumpId: _, ...table }, index) => {
    const { rows, hash } = counted[index]!;
    return { ...table, rows: exactNumber(rows), ...(hash === undefined ? {} : { hash }) };
  });
  return fingerprintOf('content', toc, hashed);
}

function fingerprintOf(kind: FingerprintKind, toc: Toc, tables: readonly TableFingerprint[]): Fingerprint {
  return {
    format: 1,
    kind,
    tables,
    sequences: toc.entries
      .filter((entry) => entry.desc === 'SEQUENCE SET')
      .map((entry) => ({ ...sequenceValue(entry) })),
    largeObjects: toc.entries.reduce((sum, entry) => sum + largeObjectsOf(entry).length, 0),
  };
}

interface TableOfArchive extends TableToCount {
  readonly dumpId: number;
}

function tablesOf(toc: Toc, conditions: ReadonlyMap<string, string>): readonly TableOfArchive[] {
  return toc.entries
    .filter((entry) => entry.desc === 'TABLE DATA')
    .map((entry) => {
      if (entry.namespace === undefined) {
        throw new PgsiloError(
          'source.archive-invalid',
          `archive is not valid: table ${entry.tag} has no schema`,
        );
      }
      const table = { dumpId: entry.dumpId, schema: entry.namespace, name: entry.tag };
      const condition = conditions.get(tableKey(table));
      return condition ? { ...table, condition } : table;
    });
}

function exactNumber(digits: string): number | string {
  const value = Number(digits);
  return Number.isSafeInteger(value) ? value : digits;
}
