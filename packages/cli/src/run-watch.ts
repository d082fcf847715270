import type { RunEvent, RunUnit } from '@pgsilo/engine';
import { redact } from '@pgsilo/plugin';
import type { Invocation } from './invocation.ts';
import { fitWidth, formatAgo, formatDuration } from './terminal/format.ts';
import { printable, printableText } from './terminal/printable.ts';
import { jobName, nameWidth, RunProgress, unitText } from './terminal/run-progress.ts';

const heartbeat = 30_000;

/** Shows a backup as it goes: drawn on a terminal, in log lines elsewhere. */
export interface RunWatch {
  /** Warnings of the plan, once they were shown. */
  readonly warned: ReadonlySet<string>;
  observe(event: RunEvent): void;
  end(): void;
}

export async function watchRun(invocation: Invocation): Promise<RunWatch> {
  const { screen, errorStyle, progress } = invocation;
  const now = (): number => invocation.now().getTime();
  const state = new RunProgress(now());
  const warned = new Set<string>();
  const apply = (event: RunEvent): void => {
    state.apply(event, now());
    if (event.type === 'planned') for (const text of event.warnings) warned.add(text);
  };
  if (progress === 'live') {
    await screen.show((size) => state.draw(size, now(), errorStyle));
    return {
      warned,
      observe(event) {
        apply(event);
        for (const line of liveLines(event, invocation)) screen.print(line);
      },
      end: () => screen.stop(),
    };
  }
  const beat = setInterval(() => {
    if (progress === 'lines') invocation.log.info(`still running: ${state.summary(now())}`);
  }, heartbeat);
  beat.unref();
  return {
    warned,
    observe(event) {
      apply(event);
      logEvent(event, invocation);
    },
    end: () => clearInterval(beat),
  };
}

/** Lines that scroll above the live region. */
function liveLines(event: RunEvent, { errorStyle: style, screen, now }: Invocation): string[] {
  const width = (screen.width ?? 80) - 1;
  const line = (mark: string, name: string, text: string): string => {
    const names = nameWidth(width);
    // The report at the end has the whole text.
    const rest = fitWidth(printableText(redact(text)).replaceAll('\n', ' '), Math.max(10, width - names - 6));
    return `  ${mark} ${fitWidth(printable(name), names, true)}  ${rest}`;
  };
  switch (event.type) {
    case 'waiting':
      return [waitingText(event, now())];
    case 'planned':
      return [
        ...event.warnings.map((text) => `  ${style.yellow('!')} ${printableText(redact(text))}`),
        ...event.missing.map((unit) => line(style.red('✗'), unit.unit, unitText(unit))),
      ];
    case 'job-finished':
      return event.units.filter(isOwn).map((unit) => {
        const marks = { good: style.green('✓'), damaged: style.yellow('!'), failed: style.red('✗') };
        return line(marks[unit.status], unit.unit, unitText(unit));
      });
    case 'job-retry':
      return [line(style.yellow('↻'), jobName(event.job), retryText(event))];
    default:
      // The engine logs sinks that fail; the rest is drawn.
      return [];
  }
}

function logEvent(event: RunEvent, { log, logFormat, progress, now }: Invocation): void {
  const info = progress === 'lines' ? log.info : () => undefined;
  switch (event.type) {
    case 'waiting':
      log.warn(waitingText(event, now()));
      break;
    case 'planned':
      info('run begun', { run: event.run, jobs: event.jobs, units: event.units });
      for (const text of event.warnings) log.warn(text);
      for (const unit of event.missing)
        log.error(`${printable(unit.unit)}: ${unitText(unit)}`, { code: unit.error?.code });
      break;
    case 'job-finished':
      for (const unit of event.units.filter(isOwn)) {
        const text = `${printable(unit.unit)}: ${unitText(unit)}`;
        // For people the text says it all; programs want the figures.
        const fields = logFormat === 'json' ? { ...unit } : {};
        if (unit.status === 'failed') log.error(text, { code: unit.error?.code, ...fields });
        else (unit.status === 'good' ? info : log.warn)(text, fields);
      }
      break;
    case 'job-retry':
      log.warn(`${jobName(event.job)}: ${retryText(event)}`, { code: event.error.code });
      break;
    default:
  }
}

/** Whether a unit ended for a reason of its own, rather than with the run. */
function isOwn({ error }: RunUnit): boolean {
  return error?.code !== 'aborted' && error?.code !== 'run.lock-lost';
}

function retryText({ attempt, error, delay }: Extract<RunEvent, { type: 'job-retry' }>): string {
  return `attempt ${attempt} failed: ${error.message}; the next in ${formatDuration(delay)}`;
}

function waitingText({ holder, since }: Extract<RunEvent, { type: 'waiting' }>, now: Date): string {
  const begun = since === undefined ? '' : `, begun ${formatAgo(since, now)}`;
  return `waiting for another run of this pipeline to end: ${printableText(redact(holder))}${begun}`;
}
