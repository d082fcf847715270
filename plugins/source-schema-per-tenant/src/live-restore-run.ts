import { throwIfAborted, toPgsiloError, type PgsiloError, type RestoreOutcome } from '@pgsilo/plugin';
import { quoteIdentifier, showName, throwProblems } from '@pgsilo/postgres';
import { schemaTies } from './dependents.ts';
import { findSchema, tieProblems } from './live-conditions.ts';
import { lockReplaced } from './live-lock.ts';
import type { PreparedLiveRestore } from './live-restore.ts';
import { clearLargeObjects } from './live-large-objects.ts';
import { placeLargeObjects, stageLargeObjects } from './place-large-objects.ts';
import { restoreDefinitions, restoreRows, restoreSchema, restoreTheRest } from './live-statements.ts';
import { withoutOthersTriggers } from './others-triggers.ts';
import {
  analyzeSchema,
  commit,
  compareWithin,
  refuseSecond,
  undoneOf,
  type Progress,
} from './schema-transaction.ts';
import { staleNames } from './stale-names.ts';
import { movePublications, publicationsOf } from './publications.ts';

/**
 * Restores a schema in one transaction of the database that it belongs in. Until COMMIT nobody sees any of it, and whatever ends this process, its connection or the server undoes it:
 * there is no moment at which the live schema is away.
 */
export async function runLiveRestore(prepared: PreparedLiveRestore): Promise<RestoreOutcome> {
  const progress: Progress = {};
  const warnings = [...prepared.warnings];
  let compared: string;
  try {
    compared = await inTransaction(prepared, progress, warnings);
  } catch (error) {
    throw await undone(prepared, progress, error);
  }
  return await finish(prepared, compared, warnings);
}

async function inTransaction(
  prepared: PreparedLiveRestore,
  progress: Progress,
  warnings: string[],
): Promise<string> {
  const { session, request, context, setup, schema, target, live, aside } = prepared;
  const rename = (from: string, to: string): Promise<unknown> =>
    session.query(`ALTER SCHEMA ${quoteIdentifier(from)} RENAME TO ${quoteIdentifier(to)}`);
  await session.query('BEGIN');
  const compared = await request
    .step('restore the data', async () => {
      await session.query(`SET LOCAL lock_timeout = ${Math.ceil(setup.options.lockTimeout)}`);
      await refuseSecond(session, schema);
      if (live) await rename(schema, aside);
      await restoreSchema(prepared);
      await restoreDefinitions(prepared);
      await withoutOthersTriggers(session, schema, () => restoreRows(prepared));
      return prepared.fingerprint;
    })
    .then((fingerprint) =>
      request.step('compare with the fingerprint', () => compareWithin(session, fingerprint, context)),
    );
  const { largeObjects } = prepared;
  const replacing = largeObjects.replacedOf !== undefined;
  if (replacing || largeObjects.archives.length > 0)
    await request.step('restore the large objects', async () => {
      warnings.push(...(await stageLargeObjects(prepared)));
      if (!replacing) await placeLargeObjects(prepared);
    });
  await request.step('build indexes and constraints', () => restoreTheRest(prepared));
  await request.step('analyze', () => analyzeSchema(session, schema));
  if (target !== schema) {
    await rename(schema, target);
    warnings.push(...(await staleNames(session, target, schema)));
  }
  const name = request.replace && live ? 'swap with the live schema' : 'give it its name';
  const end = async (): Promise<void> => {
    if (live && request.replace) await putInPlace(prepared, live.oid, warnings);
    if (replacing) await replaceLargeObjects(prepared, largeObjects.replacedOf, warnings);
    throwIfAborted(context.signal);
    await commit(session, progress);
  };
  await request.step(name, async () => {
    if (live && !request.replace) await rename(aside, schema);
    await (live && request.replace ? request.swap(schema, end) : end());
  });
  return compared;
}

/** The last steps, under locks that keep everybody out of the replaced tables: short, and looked at once more. */
async function putInPlace(prepared: PreparedLiveRestore, oid: number, warnings: string[]): Promise<void> {
  const { session, setup, context, schema, aside } = prepared;
  await lockReplaced(session, aside, schema, setup.options.lockTimeout, context);
  // Hours may have gone by since they were looked at.
  throwProblems(tieProblems(schema, { ...(await schemaTies(session, oid)), extensions: [] }));
  const memberships = await publicationsOf(session, oid);
  warnings.push(...(await movePublications(session, memberships, schema, aside)));
  const publications = [...new Set(memberships.map(({ publication }) => showName(publication)))];
  if (publications.length > 0)
    warnings.push(
      `subscribers of ${publications.join(', ')} have the rows of the replaced tables: ALTER SUBSCRIPTION … REFRESH PUBLICATION there, into emptied tables`,
    );
}

/** Late, under the locks on the tables: who writes into a large object that is taken away waits until COMMIT, and fails then. */
async function replaceLargeObjects(
  prepared: PreparedLiveRestore,
  role: string,
  warnings: string[],
): Promise<void> {
  const { session, request, aside } = prepared;
  const table = await clearLargeObjects(session, role, request.dropOld ? undefined : aside);
  if (table !== undefined)
    warnings.push(
      `what was in the replaced large objects is in ${table}: see docs/restore.md for how they come back`,
    );
  await placeLargeObjects(prepared);
}

function undone(
  { session, applicationName, schema, target, aside, request, live }: PreparedLiveRestore,
  progress: Progress,
  error: unknown,
): Promise<PgsiloError> {
  const kept = request.replace && live ? `, ${showName(aside)} the replaced one` : '';
  return undoneOf(session, applicationName, progress, error, {
    undone: 'Nothing was changed.',
    done: `All of it had been done by then: ${showName(request.replace ? schema : target)} is the restored schema${kept}.`,
  });
}

/** What is done after the restored schema has its name, and the report. Never throws: the restore is whole by now. */
async function finish(
  prepared: PreparedLiveRestore,
  compared: string,
  warnings: string[],
): Promise<RestoreOutcome> {
  const { request, session, schema, target, live, aside, ties, largeObjects } = prepared;
  const place = `schema ${showName(target)} of database ${showName(session.database)}`;
  const orphans = largeObjects.replacedOf !== undefined && !live && !request.dropOld;
  if (!(request.replace && live))
    return {
      target,
      compared,
      ...(orphans ? { kept: aside } : {}),
      warnings,
      next: request.replace
        ? ['The application can use it again.']
        : [`It is ${place}. Remove it when it is no longer needed: ${dropStatement(target)}`],
    };
  if (request.dropOld) {
    try {
      await request.step('drop the replaced schema', () => dropReplaced(prepared, live.oid));
      return { target, compared, warnings, next: [`It is ${place}.`] };
    } catch (error) {
      warnings.push(
        `the replaced schema could not be dropped and is kept as ${showName(aside)}: ${toPgsiloError(error).message}`,
      );
    }
  }
  if (ties && ties.foreignKeys > 0)
    warnings.push(
      `foreign keys of the kept schema still hold on to rows of other schemas (${ties.foreignKeys}): these rows cannot be deleted while it is there`,
    );
  return {
    target,
    compared,
    kept: aside,
    warnings,
    next: [
      `The replaced schema ${showName(schema)} is kept as ${showName(aside)}; when nobody misses it: ${dropStatement(aside)}`,
    ],
  };
}

async function dropReplaced({ session, aside, setup }: PreparedLiveRestore, oid: number): Promise<void> {
  await session.query('BEGIN');
  try {
    await session.query(`SET LOCAL lock_timeout = ${Math.ceil(setup.options.lockTimeout)}`);
    // CASCADE would take with it what somebody has built upon it meanwhile.
    throwProblems(tieProblems(aside, { ...(await schemaTies(session, oid)), extensions: [] }));
    if ((await findSchema(session, aside))?.oid === oid)
      await session.query(`DROP SCHEMA ${quoteIdentifier(aside)} CASCADE`);
    await session.query('COMMIT');
  } catch (error) {
    await session.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

function dropStatement(schema: string): string {
  return `DROP SCHEMA ${quoteIdentifier(schema)} CASCADE;`;
}
