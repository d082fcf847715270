import { toPgsiloError } from '@pgsilo/plugin';
import type { History } from '@pgsilo/plugin';
import { runsPrefix } from './keys.ts';
import { getDocument, listObjects } from './objects.ts';
import { readRunReport } from './run-records.ts';
import type { RunReport } from './run-records.ts';
import type { PipelineSink } from './pipeline.ts';
import type { EngineSession } from './session.ts';

/** The newest whole run's report in a sink; a run of selected units does not count. Undefined when there is none. */
export async function newestRun(session: EngineSession, sink: PipelineSink): Promise<RunReport | undefined> {
  const prefix = runsPrefix(session.pipeline.name);
  const runs: string[] = [];
  for await (const { key } of listObjects(session, sink, prefix)) {
    if (key.endsWith('.json') && !key.endsWith('.begin.json')) runs.push(key);
  }
  for (const key of runs.sort().reverse()) {
    const report = readRunReport(await getDocument(session, sink, key), key);
    if (!report.selected && report.status !== 'killed') return report;
  }
  return undefined;
}

/** The newest whole run that any sink of the pipeline tells of: a sink that lost everything has lost its own record too. */
export async function newestRunAnywhere(session: EngineSession): Promise<RunReport | undefined> {
  let newest: RunReport | undefined;
  for (const sink of session.pipeline.sinks) {
    const report = await newestRun(session, sink);
    if (report && (newest === undefined || report.run > newest.run)) newest = report;
  }
  return newest;
}

/** What the source may know of earlier runs. It only orders jobs, so trouble here is logged and the run goes on without. */
export async function readHistory(session: EngineSession): Promise<History> {
  const sizes = new Map<string, number>();
  for (const sink of session.pipeline.sinks) {
    try {
      const report = await newestRun(session, sink);
      for (const line of report?.units ?? []) if (line.status === 'good') sizes.set(line.unit, line.bytes);
      if (report) break;
    } catch (error) {
      session.pipeline.log.warn('sizes of the last run are not known', {
        sink: sink.name,
        error: toPgsiloError(error).message,
      });
    }
  }
  return { lastBytes: (unit) => sizes.get(unit) };
}
