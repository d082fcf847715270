import { isPgsiloError, PgsiloError, throwIfAborted, type RestoreOutcome } from '@pgsilo/plugin';
import {
  nameOf, placesOf, showName, sqlState, tokens, type TocEntry,
} from '@pgsilo/postgres'; // prettier-ignore
import { definitionsOf, restOf, runEntries, tryEntries, type EntryJob, type LeftEntry } from './entries.ts';
import { restoreLargeObjects } from './large-objects.ts';
import { markSchema } from './mark.ts';
import { isThere } from './one-database.ts';
import { withoutOthersTriggers } from '../others-triggers.ts';
import { copyRows } from '../row-archives.ts';
import type { PreparedSchema } from './prepared.ts';
import {
  analyzeSchema,
  commit,
  compareWithin,
  refuseSecond,
  undoneOf,
  type Progress,
} from '../schema-transaction.ts';

/** Of units that wait for each other's locks. Three of them in a row is no accident any more. */
const mostTries = 3;
const deadlock = '40P01';
/** How long a unit waits for a lock of another one, in milliseconds: as long as that one may take to check its foreign keys. */
const lockTimeout = 4 * 3600_000;

/** Restores a schema in one transaction: nobody sees it before it is whole and compared, and whatever ends this process undoes it. */
export async function runSchema(prepared: PreparedSchema): Promise<RestoreOutcome> {
  const { session, context, request } = prepared;
  for (let tries = 1; ; tries += 1) {
    const progress: Progress = {};
    try {
      await restoreLargeObjects(prepared);
      const { compared, left } = await inTransaction(prepared, progress);
      const waiting = left.map(({ entry, why }) => `${entry.desc} ${showName(entry.tag)}: ${why}`);
      for (const what of waiting)
        context.log.info('left until other units are there', { unit: request.backup.unit.name, what });
      return { target: session.database, compared, warnings: prepared.warnings, next: [] };
    } catch (error) {
      const again = isPgsiloError(error) && sqlState(error.cause) === deadlock && tries < mostTries;
      if (!again) throw await undone(prepared, progress, error);
      await session.query('ROLLBACK');
    }
  }
}

async function inTransaction(
  prepared: PreparedSchema,
  progress: Progress,
): Promise<{ readonly compared: string; readonly left: readonly LeftEntry[] }> {
  const { session, request, context, schema, toc, needs } = prepared;
  const { unit, id: backup } = request.backup;
  const job: EntryJob = { ...prepared, owner: request.owner };
  // Where the manifest knows of no other schema that it needs, whatever fails is wrong.
  const make = needs.needsSchemas.length > 0 ? tryEntries : runStrictly;
  const left: LeftEntry[] = [];
  await session.query('BEGIN');
  await session.query(`SET LOCAL lock_timeout = ${lockTimeout}`);
  await refuseSecond(session, schema);
  await refuseMade(prepared);
  await request.step('restore the data', async () => {
    left.push(...(await make(job, definitionsOf(toc.entries))));
    refuseRowless(toc.entries, left);
    await withoutOthersTriggers(session, schema, () => restoreRows(prepared));
  });
  // Large objects are the whole database's.
  const own = prepared.fingerprint && { ...prepared.fingerprint, largeObjects: 0 };
  const compared = await request.step('compare with the fingerprint', () =>
    compareWithin(session, own, context),
  );
  const { within, foreign } = byReference(restOf(toc.entries), schema);
  await request.step('build indexes and constraints', async () => left.push(...(await make(job, within))));
  await request.step('analyze', () => analyzeSchema(session, schema));
  await request.step('commit', async () => {
    if (foreign.length > 0) {
      // A foreign key locks the table that it points at until COMMIT: late, and one unit at a time, so that none waits for one that waits for it.
      await session.query(
        `SELECT pg_advisory_xact_lock(hashtextextended('pgsilo restore: foreign keys', 0))`,
      );
      left.push(...(await make(job, foreign)));
    }
    if (left.length > 0)
      await markSchema(session, schema, {
        unit: unit.name,
        backup,
        left: left.map(({ entry }) => entry.dumpId),
      });
    throwIfAborted(context.signal);
    await commit(session, progress);
  });
  return { compared, left };
}

async function runStrictly(job: EntryJob, entries: readonly TocEntry[]): Promise<readonly LeftEntry[]> {
  await runEntries(job, entries);
  return [];
}

/** Whoever held the lock before may have made it. */
async function refuseMade({ session, schema }: PreparedSchema): Promise<void> {
  if (await isThere(session, schema))
    throw new PgsiloError(
      'restore.target-exists',
      `schema ${showName(schema)} was made by somebody else meanwhile`,
      {
        hint: 'Run the same command again: it compares it with the backup.',
      },
    );
}

/** Rows cannot be left until later: without their table the unit is not there. */
function refuseRowless(entries: readonly TocEntry[], left: readonly LeftEntry[]): void {
  const byId = new Map(left.map((each) => [each.entry.dumpId, each]));
  for (const { section, dependencies } of entries) {
    const lacking = section === 'data' ? dependencies.map((id) => byId.get(id)).find(Boolean) : undefined;
    if (!lacking) continue;
    throw new PgsiloError(
      'restore.failed',
      `${lacking.entry.desc} ${showName(lacking.entry.tag)}, which has rows, needs what is not there: ${lacking.why}`,
      {
        cause: lacking.error,
        hint: 'Restore the unit that brings it first, and run the same command again.',
      },
    );
  }
}

/** Foreign keys into other schemas, with what is said about them, apart from all else. */
function byReference(
  entries: readonly TocEntry[],
  schema: string,
): { readonly within: readonly TocEntry[]; readonly foreign: readonly TocEntry[] } {
  const keys = new Set<number>();
  for (const entry of entries)
    if (entry.desc === 'FK CONSTRAINT' && referencedSchema(entry) !== schema) keys.add(entry.dumpId);
  const isForeign = ({ dumpId, dependencies }: TocEntry): boolean =>
    keys.has(dumpId) || dependencies.some((id) => keys.has(id));
  return {
    within: entries.filter((entry) => !isForeign(entry)),
    foreign: entries.filter(isForeign),
  };
}

function referencedSchema({ definition }: TocEntry): string | undefined {
  const words = tokens(definition);
  const at = placesOf(words, 'REFERENCES')[0];
  return at === undefined ? undefined : nameOf(words[at + 1]);
}

/** The rows of all tables, and where the sequences stand. */
async function restoreRows({ session, toc, archive, context }: PreparedSchema): Promise<void> {
  const rows = toc.entries.filter(({ desc }) => desc === 'TABLE DATA');
  await copyRows(session, { archive, encoding: toc.encoding, entries: rows }, context);
  for (const { desc, definition } of toc.entries)
    if (desc === 'SEQUENCE SET') await session.query(definition);
}

function undone(
  { session, applicationName, schema, largeObjects }: PreparedSchema,
  progress: Progress,
  thrown: unknown,
): Promise<PgsiloError> {
  return undoneOf(session, applicationName, progress, thrown, {
    undone:
      largeObjects.length > 0
        ? 'Nothing of it was left behind but its large objects, which the next call makes anew.'
        : 'Nothing of it was left behind.',
    done: `All of it had been done by then: schema ${showName(schema)} is there.`,
  });
}
