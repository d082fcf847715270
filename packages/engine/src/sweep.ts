import { toPgsiloError } from '@pgsilo/plugin';
import { isGone } from '@pgsilo/plugin/process-identity';
import { runBeginKey, runsPrefix, runSummaryKey, unitPrefix } from './keys.ts';
import { getDocument, listObjects, putDocument, removeObjects } from './objects.ts';
import type { PipelineSink } from './pipeline.ts';
import { eachLimited } from './pool.ts';
import { readRunBegin, writeRunReport } from './run-records.ts';
import type { RunBegin } from './run-records.ts';
import type { EngineSession } from './session.ts';

/** Milliseconds after which a run without an end is taken for dead even where its process cannot be looked for. */
const deadAfter = 7 * 86_400_000;
const unitsAtOnce = 8;

/**
 * Removes what killed runs of this pipeline left in a sink: unfinished objects, and artifacts of backups that were never committed.
 * A run counts as dead when its process is proved gone, or after seven days. Failures are logged, never thrown: rubbish must not keep a backup from being made.
 */
export async function sweepDeadRuns(session: EngineSession, sink: PipelineSink): Promise<void> {
  const { log, name, clock } = session.pipeline;
  try {
    const before = new Date(clock.now().getTime() - deadAfter);
    const unfinished = (await sink.sink.sweep?.(`${name}/`, before, session.context())) ?? 0;
    if (unfinished > 0)
      log.info('unfinished objects of killed writers removed', { sink: sink.name, objects: unfinished });
    for (const run of await runsWithoutEnd(session, sink)) {
      const begin = await readBegin(session, sink, run);
      const old = begin !== undefined && new Date(begin.startedAt).getTime() < before.getTime();
      if (begin && (old || isGone(begin.process.identity))) await sweepRun(session, sink, begin);
    }
  } catch (error) {
    log.warn('leftovers of earlier runs were not swept', {
      sink: sink.name,
      error: toPgsiloError(error).message,
    });
  }
}

/** Undefined for a marker that is damaged or of a later format: whose run it is cannot be known, so all that might be its own stays. */
async function readBegin(
  session: EngineSession,
  sink: PipelineSink,
  run: string,
): Promise<RunBegin | undefined> {
  const key = runBeginKey(session.pipeline.name, run);
  const bytes = await getDocument(session, sink, key);
  try {
    return readRunBegin(bytes, key);
  } catch (error) {
    session.pipeline.log.warn('what this run left, if it was killed, is not swept', {
      sink: sink.name,
      error: toPgsiloError(error).message,
    });
    return undefined;
  }
}

async function runsWithoutEnd(session: EngineSession, sink: PipelineSink): Promise<readonly string[]> {
  const open = new Set<string>();
  const ended = new Set<string>();
  const prefix = runsPrefix(session.pipeline.name);
  for await (const { key } of listObjects(session, sink, prefix)) {
    const file = key.slice(prefix.length);
    if (file.endsWith('.begin.json')) open.add(file.slice(0, -'.begin.json'.length));
    else if (file.endsWith('.json')) ended.add(file.slice(0, -'.json'.length));
  }
  return [...open].filter((run) => !ended.has(run));
}

/** The backups of a run lie under prefixes that begin with the run's own id (keys.ts), so what it left is found without listing everything. */
async function sweepRun(session: EngineSession, sink: PipelineSink, begin: RunBegin): Promise<void> {
  const { name, clock, log } = session.pipeline;
  let removed = 0;
  await eachLimited(begin.units, unitsAtOnce, async (unit) => {
    const keys: string[] = [];
    for await (const { key } of listObjects(session, sink, unitPrefix(name, unit) + begin.run))
      keys.push(key);
    const folderOf = (key: string): string => key.slice(0, key.lastIndexOf('/'));
    const committed = new Set(keys.filter((key) => key.endsWith('/manifest.json')).map(folderOf));
    const garbage = keys.filter((key) => !committed.has(folderOf(key)));
    await removeObjects(session, sink, garbage);
    removed += garbage.length;
  });
  await putDocument(
    session,
    sink,
    runSummaryKey(name, begin.run),
    writeRunReport({
      run: begin.run,
      pipeline: name,
      startedAt: begin.startedAt,
      finishedAt: clock.now().toISOString(),
      retries: 0,
      status: 'killed',
      selected: false,
      units: [],
      warnings: [],
    }),
    'run',
  );
  log.info('swept what a killed run left', { sink: sink.name, run: begin.run, objects: removed });
}
