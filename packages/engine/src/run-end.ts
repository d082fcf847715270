import { abortReason, toPgsiloError } from '@pgsilo/plugin';
import { runSummaryKey } from './keys.ts';
import { putDocument } from './objects.ts';
import { writeRunReport } from './run-records.ts';
import type { RunReport, RunUnit } from './run-records.ts';
import type { RunState } from './run-state.ts';
import type { EngineSession } from './session.ts';

/** Milliseconds that the last records of an interrupted run may take. */
const lastWords = 30_000;

/** What is known when the last job has ended. */
export interface Ending {
  readonly startedAt: Date;
  readonly lines: readonly RunUnit[];
  readonly warnings: readonly string[];
  readonly selected: boolean;
  readonly pinned: boolean;
  readonly planWarnings: number;
}

/** Sums a run up and writes the sum into every sink that took part. */
export async function endRun(state: RunState, ending: Ending): Promise<RunReport> {
  const { session, run, signal } = state;
  const { pipeline } = session;
  const stopped = signal.aborted ? abortReason(signal) : undefined;
  const optional = new Set(pipeline.sinks.filter((sink) => !sink.required).map((sink) => sink.name));
  const lacking = (line: RunUnit): RunUnit['sinks'] => line.sinks.filter(isLacking);
  const committed = ending.lines.filter((line) => line.status !== 'failed');
  const whole =
    stopped === undefined &&
    ending.warnings.length === ending.planWarnings &&
    ending.lines.every(
      (line) => line.status === 'good' && lacking(line).every((sink) => optional.has(sink.sink)),
    );
  const report: RunReport = {
    run,
    pipeline: pipeline.name,
    startedAt: ending.startedAt.toISOString(),
    finishedAt: pipeline.clock.now().toISOString(),
    status:
      stopped?.code === 'aborted' ? 'aborted' : whole ? 'ok' : committed.length > 0 ? 'partial' : 'failed',
    selected: ending.selected,
    retries: session.retries.count,
    units: [...ending.lines],
    warnings: [...ending.warnings, ...optionalSinkWarnings(ending.lines, optional)],
    ...(stopped ? { error: stopped.toJSON() } : {}),
  };
  return (await record(session, state, report))
    ? report
    : { ...report, status: report.status === 'ok' ? 'partial' : report.status };
}

/** Whether a sink should have the unit's backup and has not. */
function isLacking({ status }: RunUnit['sinks'][number]): boolean {
  return status === 'failed' || status === 'skipped';
}

function optionalSinkWarnings(lines: readonly RunUnit[], optional: ReadonlySet<string>): readonly string[] {
  return [...optional].flatMap((name) => {
    const units = lines.filter((line) => line.sinks.some((sink) => sink.sink === name && isLacking(sink)));
    return units.length === 0
      ? []
      : [
          `sink ${name} (not required) lacks ${units.length} of ${lines.length} units of this run; \`pgsilo copy\` fills it`,
        ];
  });
}

/** Writes the summary into every sink that took part; false when a required one did not take it. */
async function record(session: EngineSession, state: RunState, report: RunReport): Promise<boolean> {
  const bytes = writeRunReport(report);
  const signal = AbortSignal.timeout(lastWords);
  const written = await Promise.all(
    state.sinks.map(async (sink) => {
      try {
        await putDocument(session, sink, runSummaryKey(report.pipeline, report.run), bytes, 'run', signal);
        return true;
      } catch (error) {
        session.pipeline.log.error('the run’s summary was not written', {
          sink: sink.name,
          error: toPgsiloError(error).message,
        });
        return !sink.required;
      }
    }),
  );
  return written.every(Boolean);
}
