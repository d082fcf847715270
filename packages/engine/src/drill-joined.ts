import { PgsiloError, throwIfAborted } from '@pgsilo/plugin';
import type { JoinedRecovery, ScratchServer } from '@pgsilo/plugin';
import type { DrillOptions, Restoring } from './drill.ts';
import type { DrillUnits } from './drill-units.ts';
import { finishInPasses, requestFor } from './joined-units.ts';
import { eachLimited } from './pool.ts';
import { failedProof, globalsBeside, restoreCopy } from './prove.ts';
import type { EngineSession } from './session.ts';

/**
 * Restores units that make up one database into one copy of it, as a recovery does: in the order that they need, then what of one needs another. Copies and failures stand in the units.
 * @returns seconds.
 */
export async function restoreTogether(
  session: EngineSession,
  server: ScratchServer,
  joined: JoinedRecovery,
  all: readonly Restoring[],
  { places }: DrillUnits,
  { observe }: DrillOptions,
): Promise<number> {
  const { clock, limits } = session.pipeline;
  const database = server.jointName();
  const byView = new Map(all.map((one) => [one.subject.view, one]));
  const began = clock.now().getTime();
  await restoreApart(session, server, all, observe);
  for (const stage of joined.stages([...byView.keys()]))
    await eachLimited(stage, limits.jobs, async (view) => {
      const one = byView.get(view)!;
      if (one.copy) return;
      const { manifest, sink } = one.subject;
      if (!one.proof)
        observe?.({ type: 'checking', unit: manifest.unit.name, backup: manifest.backup, sink: sink.name });
      try {
        const globals = await globalsBeside(one.session, places, one.subject);
        one.copy = await restoreCopy(one.session, server, one.subject, globals, {
          jobs: 1,
          into: { database, restore: joined.restore },
        });
        delete one.proof;
      } catch (thrown) {
        one.proof = failedProof(one.session, thrown);
      }
    });
  await finishTogether(session, server, joined, all, database);
  return (clock.now().getTime() - began) / 1000;
}

/** What is no part of the one database: roles. */
async function restoreApart(
  session: EngineSession,
  server: ScratchServer,
  all: readonly Restoring[],
  observe: DrillOptions['observe'],
): Promise<void> {
  for (const one of all.filter(({ subject }) => server.takesServer(subject.view))) {
    const { manifest, sink, view } = one.subject;
    const unfit = server.unfit(view);
    if (unfit !== undefined) {
      one.skipped = unfit;
      continue;
    }
    observe?.({ type: 'checking', unit: manifest.unit.name, backup: manifest.backup, sink: sink.name });
    try {
      one.copy = await restoreCopy(one.session, server, one.subject, undefined, { jobs: 1 });
    } catch (thrown) {
      throwIfAborted(session.signal);
      one.proof = failedProof(one.session, thrown);
    }
  }
}

/** Makes what of one unit needs another. What cannot be made is the failure of the unit that lacks it. */
async function finishTogether(
  session: EngineSession,
  server: ScratchServer,
  joined: JoinedRecovery,
  all: readonly Restoring[],
  database: string,
): Promise<void> {
  const context = session.context();
  const request = { toServer: server.connection, to: database, owner: true, jobs: 1 };
  await finishInPasses(async (last) => {
    let count = 0;
    for (const { unit } of await joined.unfinished(database, context)) {
      const one = all.find(({ subject }) => subject.view.unit.name === unit);
      if (!one) continue;
      try {
        const { lacks } = await joined.finish(requestFor(one.subject.view, request), last, context);
        count += lacks.length;
        if (last && lacks.length > 0) throw lacking(lacks);
      } catch (thrown) {
        throwIfAborted(session.signal);
        count += 1;
        if (!last) continue;
        one.proof = failedProof(one.session, thrown, one.copy?.seconds);
        delete one.copy;
      }
    }
    return count;
  });
}

function lacking(lacks: readonly string[]): PgsiloError {
  const what = lacks.map((each) => `- ${each}`).join('\n');
  return new PgsiloError('restore.failed', `it came back, but this could not be made:\n${what}`);
}
