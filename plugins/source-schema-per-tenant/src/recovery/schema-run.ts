import { isPgsiloError, PgsiloError, throwIfAborted, type RestoreOutcome } from '@pgsilo/plugin';
import {
  fingerprintWithout, showName, sqlState, type TocEntry,
} from '@pgsilo/postgres'; // prettier-ignore
import { phasesOf } from './crossing.ts';
import { dataOf, runEntries, tryEntries, type EntryJob, type LeftEntry } from './entries.ts';
import { restoreLargeObjects } from './large-objects.ts';
import { leftWith } from './later-rows.ts';
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
  const { definitions, within, crossing } = phasesOf(toc.entries, schema);
  await session.query('BEGIN');
  await session.query(`SET LOCAL lock_timeout = ${lockTimeout}`);
  await refuseSecond(session, schema);
  await refuseMade(prepared);
  await request.step('restore the data', async () => {
    left.push(...(await make(job, definitions)));
    left.push(...leftWith(dataOf(toc.entries), left));
    await withoutOthersTriggers(session, schema, () => restoreRows(prepared, left));
  });
  // Large objects are the whole database's.
  const all = prepared.fingerprint && { ...prepared.fingerprint, largeObjects: 0 };
  const own =
    all &&
    fingerprintWithout(
      all,
      left.map(({ entry }) => entry),
    );
  const compared = await request.step('compare with the fingerprint', () =>
    compareWithin(session, own, context),
  );
  await request.step('build indexes and constraints', async () => left.push(...(await make(job, within))));
  await request.step('analyze', () => analyzeSchema(session, schema));
  await request.step('commit', async () => {
    if (crossing.length > 0) {
      // They lock tables of other units until COMMIT: late, and one unit at a time, so that none waits for one that waits for it.
      await session.query(
        `SELECT pg_advisory_xact_lock(hashtextextended('pgsilo restore: foreign keys', 0))`,
      );
      left.push(...(await make(job, crossing)));
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

function withoutLeft(entries: readonly TocEntry[], left: readonly LeftEntry[]): readonly TocEntry[] {
  const ids = new Set(left.map(({ entry }) => entry.dumpId));
  return entries.filter(({ dumpId }) => !ids.has(dumpId));
}

/** The rows of the tables that are there, and where the sequences stand. */
async function restoreRows(
  { session, toc, archive, context }: PreparedSchema,
  left: readonly LeftEntry[],
): Promise<void> {
  const data = withoutLeft(dataOf(toc.entries), left);
  const rows = data.filter(({ desc }) => desc === 'TABLE DATA');
  await copyRows(session, { archive, encoding: toc.encoding, entries: rows }, context);
  for (const { desc, definition } of data) if (desc === 'SEQUENCE SET') await session.query(definition);
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
