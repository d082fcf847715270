import { throwIfAborted, type RestoreOutcome } from '@pgsilo/plugin';
import {
  artifactOf, claimWorkingName, createClosed, fingerprintWithout, inWorking, isOfDatabase, renameDatabases, requireEqual, runPgRestore,
  sweepLeftovers, templateHasRules, undo, type TocEntry,
} from '@pgsilo/postgres'; // prettier-ignore
import { compareOwn } from '../compare.ts';
import { largeObjectsOf } from '../restored-large-objects.ts';
import { fetchRowArchives } from '../row-archives.ts';
import type { PreparedDatabase } from './prepared.ts';
import {
  dataOf,
  definitionsOf,
  endOf,
  entriesAtOnce,
  isOfStatement,
  restOf,
  tryEntries,
  type EntryJob,
  type LeftEntry,
} from './entries.ts';
import { leftWith } from './later-rows.ts';
import { markDatabase } from './mark.ts';

/** Makes the database under a working name, proves what is in it, and only then gives it its name. What needs tenants is left to the end, and the database says so itself. */
export async function runDatabase(prepared: PreparedDatabase): Promise<RestoreOutcome> {
  const { admin, context, request, names, toc } = prepared;
  await sweepLeftovers(admin, context);
  const working = await claimWorkingName(admin);
  const mark = { unit: request.backup.unit.name, backup: request.backup.id };
  try {
    await request.step('create the database', () => createWorking(prepared, working));
    const left = await request.step('restore the data', () => restoreInto(prepared, working));
    const compared = await request.step('compare with the fingerprint', () =>
      compare(prepared, working, left),
    );
    await request.step('analyze', () =>
      inWorking(prepared, working, 'analyze', (session) => session.query('ANALYZE')),
    );
    for (const { entry, why } of left)
      context.log.info('left until other units are there', {
        unit: mark.unit,
        what: `${entry.desc} ${entry.tag}: ${why}`,
      });
    const ids = new Set([
      ...left.map(({ entry }) => entry.dumpId),
      ...endOf(toc.entries).map(({ dumpId }) => dumpId),
    ]);
    await markDatabase(admin, working, { ...mark, left: [...ids] });
    throwIfAborted(context.signal);
    prepared.progress.naming = true;
    await request.step('give it its name', () =>
      renameDatabases(admin, [{ from: working, to: names.target }], context),
    );
    return { target: names.target, compared, warnings: prepared.warnings, next: [] };
  } catch (error) {
    throw await undo(prepared, working, error);
  }
}

async function createWorking(prepared: PreparedDatabase, working: string): Promise<void> {
  const { admin, request, settings, restorer, tablespace } = prepared;
  const templateRules = await templateHasRules(admin);
  await createClosed(admin, working, settings, { request, restorer, tablespace, templateRules });
}

/** Definitions, rows, and what stands on both, as far as it needs no tenant. */
async function restoreInto(prepared: PreparedDatabase, working: string): Promise<readonly LeftEntry[]> {
  const { setup, request, toc, tool, archive, tablespaces, context } = prepared;
  const ends = new Set(endOf(toc.entries));
  const entries = toc.entries.filter((entry) => !isOfDatabase(entry) && !ends.has(entry));
  const make = (some: readonly TocEntry[]): Promise<readonly LeftEntry[]> =>
    inWorking(prepared, working, 'restore the definitions', async (session) => {
      const job: EntryJob = { setup, session, tool, archive, owner: request.owner, tablespaces, context };
      const left: LeftEntry[] = [];
      for (let from = 0; from < some.length; from += entriesAtOnce) {
        await session.query('BEGIN');
        left.push(...(await tryEntries(job, some.slice(from, from + entriesAtOnce), isOfStatement)));
        await session.query('COMMIT');
      }
      return left;
    });
  const left = [...(await make(definitionsOf(entries)))];
  left.push(...(await restoreRows(prepared, working, left)));
  left.push(...(await make(restOf(entries))));
  return left;
}

/**
 * The rows of schemas that are nobody's unit, each in an archive of its own; sequences and large objects are in the one with the definitions.
 * @param left definitions that could not be made
 * @returns rows and sequences that therefore have no place yet
 */
async function restoreRows(
  prepared: PreparedDatabase,
  working: string,
  left: readonly LeftEntry[],
): Promise<readonly LeftEntry[]> {
  const { setup, request, admin, applicationName, toc, tool, archive, tablespaces, context } = prepared;
  const job = {
    setup, tool, server: admin.settings, serverMajor: admin.major, elsewhere: request.toServer !== undefined, database: working, applicationName, owner: request.owner,
    tablespaces, jobs: request.jobs,
  }; // prettier-ignore
  const own = { archive, entries: dataOf(toc.entries) };
  const later: LeftEntry[] = [];
  for (const part of [own, ...(await fetchRowArchives(request.backup))]) {
    const waiting = leftWith(part.entries, left);
    later.push(...waiting);
    const ids = new Set(waiting.map(({ entry }) => entry.dumpId));
    const now = part.entries.filter(({ dumpId }) => !ids.has(dumpId));
    if (now.length > 0) await runPgRestore({ ...job, archive: part.archive, entries: now }, context);
  }
  for (const name of largeObjectsOf(request.backup)) {
    const file = await artifactOf(request.backup, name).spool();
    await runPgRestore({ ...job, archive: file, entries: undefined }, context);
  }
  return later;
}

/** Rows that are still to come are compared when they do. */
function compare(prepared: PreparedDatabase, working: string, left: readonly LeftEntry[]): Promise<string> {
  const { fingerprint, context, setup, request } = prepared;
  const here =
    fingerprint &&
    fingerprintWithout(
      fingerprint,
      left.map(({ entry }) => entry),
    );
  return requireEqual(here, (wanted) =>
    inWorking(prepared, working, 'compare what was restored', (session) =>
      compareOwn(setup, session, request.backup.unit, wanted, context),
    ),
  );
}
