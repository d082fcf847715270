import { throwIfAborted, toPgsiloError } from '@pgsilo/plugin';
import type { History } from '@pgsilo/plugin';
import { runsPrefix, timeOfId } from './keys.ts';
import { getDocument, listObjects } from './objects.ts';
import { readRunReport } from './run-records.ts';
import type { Failure, RunReport } from './run-records.ts';
import type { PipelineSink } from './pipeline.ts';
import type { EngineSession } from './session.ts';

/** A record of a run or a note in a sink that is not what was written. */
export interface DamagedRecord {
  readonly key: string;
  readonly sink: string;
  readonly error: Failure;
}

/** The newest run that can be read, and the records after it that cannot. */
export interface NewestRun {
  readonly report: RunReport | undefined;
  readonly damaged: readonly DamagedRecord[];
}

/** The newest whole run's report in a sink; a run of selected units does not count. */
async function newestRun(session: EngineSession, sink: PipelineSink, before?: Date): Promise<NewestRun> {
  const prefix = runsPrefix(session.pipeline.name);
  const runs: string[] = [];
  for await (const { key } of listObjects(session, sink, prefix)) {
    if (!key.endsWith('.json') || key.endsWith('.begin.json')) continue;
    if (before && timeOfId(key.slice(prefix.length)) > before.getTime()) continue;
    runs.push(key);
  }
  const damaged: DamagedRecord[] = [];
  for (const key of runs.sort().reverse()) {
    const bytes = await getDocument(session, sink, key);
    try {
      const report = readRunReport(bytes, key);
      if (!report.selected && report.status !== 'killed') return { report, damaged };
    } catch (error) {
      damaged.push({ key, sink: sink.name, error: toPgsiloError(error).toJSON() });
    }
  }
  return { report: undefined, damaged };
}

/** The newest whole run, begun not after `before`, that any sink of the pipeline tells of: a sink that lost everything has lost its own record too. */
export async function newestRunAnywhere(session: EngineSession, before?: Date): Promise<NewestRun> {
  let newest: RunReport | undefined;
  const all: DamagedRecord[] = [];
  for (const sink of session.pipeline.sinks) {
    try {
      const { report, damaged } = await newestRun(session, sink, before);
      all.push(...damaged);
      if (report && (newest === undefined || report.run > newest.run)) newest = report;
    } catch (error) {
      // Whether this sink itself is well is for whoever reads backups from it; here it could only keep a good one from being used.
      throwIfAborted(session.signal);
      session.pipeline.log.warn('what a sink says of the newest run is not known', {
        sink: sink.name,
        error: toPgsiloError(error).message,
      });
    }
  }
  return { report: newest, damaged: all };
}

/** What the source may know of earlier runs. It only orders jobs, so trouble here is logged and the run goes on without. */
export async function readHistory(
  session: EngineSession,
  sinks: readonly PipelineSink[] = session.pipeline.sinks,
): Promise<History> {
  const sizes = new Map<string, number>();
  for (const sink of sinks) {
    try {
      const { report } = await newestRun(session, sink);
      for (const line of report?.units ?? []) if (line.status === 'good') sizes.set(line.unit, line.bytes);
      if (report) break;
    } catch (error) {
      throwIfAborted(session.signal);
      session.pipeline.log.warn('sizes of the last run are not known', {
        sink: sink.name,
        error: toPgsiloError(error).message,
      });
    }
  }
  return { lastBytes: (unit) => sizes.get(unit) };
}
