import type { RunReport, RunUnit } from '@pgsilo/engine';
import { redact } from '@pgsilo/plugin';
import { errorDocument, errorCell, failedHookDocument } from './error-text.ts';
import type { Invocation } from './invocation.ts';
import { formatBytes, formatCount, formatDuration } from './terminal/format.ts';
import { printable, printableText } from './terminal/printable.ts';
import { renderTable } from './terminal/table.ts';

/** A run's report for `--json`. */
export function runDocument(report: RunReport): object {
  return {
    ...report,
    units: report.units.map(({ error, sinks, ...unit }) => ({
      ...unit,
      ...(error ? { error: errorDocument(error) } : {}),
      sinks: sinks.map(({ error: failure, ...sink }) => ({
        ...sink,
        ...(failure ? { error: errorDocument(failure) } : {}),
      })),
    })),
    warnings: report.warnings.map(redact),
    ...(report.failedHooks ? { failedHooks: report.failedHooks.map(failedHookDocument) } : {}),
    ...(report.error ? { error: errorDocument(report.error) } : {}),
  };
}

/** The rows of a table of what went wrong are bounded; a server that is down makes ten thousand of them. */
const mostRows = 50;

/** A run's report for people: what went wrong, then the sums. Warnings that were `shown` while it ran are not repeated. */
export function runText(report: RunReport, shown: ReadonlySet<string>, { style, out }: Invocation): string {
  // What stopped the whole run is said once, not for each of the units that it kept from their turn.
  const stopped = report.units.filter(({ error }) => error && error.code === report.error?.code);
  const failed = report.units.filter((unit) => unit.status === 'failed' && !stopped.includes(unit));
  const damaged = report.units.filter(({ status }) => status === 'damaged');
  const stored = report.units.length - failed.length - damaged.length - stopped.length;
  const rows = [
    ...failed.map((unit) => [{ text: printable(unit.unit), colour: style.red }, errorText(unit)]),
    ...damaged.map((unit) => [
      { text: printable(unit.unit), colour: style.yellow },
      'The server reported damage while it was read. The backup is kept, and is not counted as good.',
    ]),
    ...report.units.flatMap(({ unit, sinks, status }) =>
      (status === 'failed' ? [] : sinks)
        .filter((sink) => sink.status === 'failed' || sink.status === 'skipped')
        .map((sink) => [
          { text: printable(unit), colour: style.yellow },
          `not in sink ${printable(sink.sink)}: ${sink.error ? errorCell(sink.error) : 'it took no more part in the run'}`,
        ]),
    ),
  ];
  const parts: string[] = [];
  if (rows.length > 0) {
    parts.push(renderTable(problemColumns, rows.slice(0, mostRows), { style, width: out.width }));
    if (rows.length > mostRows) parts.push(`… and ${rows.length - mostRows} more; --json has all of them.\n`);
  }
  if (parts.length > 0) parts.push('\n');
  for (const warning of report.warnings.filter((text) => !shown.has(text))) {
    parts.push(`${style.yellow('warning')}  ${printableText(redact(warning))}\n`);
  }
  for (const { error } of report.failedHooks ?? [])
    parts.push(`${style.red('hook')}     ${errorCell(error)}\n`);
  if (report.error) parts.push(`${style.red('stopped')}  ${errorCell(report.error)}\n`);
  const bytes = (of: 'bytes' | 'storedBytes'): string =>
    formatBytes(report.units.reduce((total, unit) => total + unit[of], 0));
  const took = new Date(report.finishedAt).getTime() - new Date(report.startedAt).getTime();
  const counts = [
    formatCount(stored, 'unit'),
    ...(damaged.length > 0 ? [style.yellow(`${damaged.length} damaged`)] : []),
    ...(failed.length > 0 ? [style.red(`${failed.length} failed`)] : []),
    ...(stopped.length > 0 ? [style.red(`${stopped.length} not finished`)] : []),
  ];
  const repeated = report.retries > 0 ? `, ${formatCount(report.retries, 'request')} repeated` : '';
  const sums = `${counts.join(', ')}; ${bytes('bytes')} → ${bytes('storedBytes')} in ${formatDuration(took)}${repeated}`;
  const marks = {
    ok: style.green('ok'),
    partial: style.yellow('partial'),
    failed: style.red('failed'),
    aborted: style.red('interrupted'),
    killed: style.red('killed'),
  };
  parts.push(`${marks[report.status]}  ${style.bold(report.pipeline)}  ${report.run}\n  ${sums}\n`);
  return parts.join('');
}

function errorText({ error, attempts }: RunUnit): string {
  const tries = attempts > 1 ? `after ${formatCount(attempts, 'attempt')}: ` : '';
  return error ? tries + errorCell(error) : 'no reason was given';
}

const problemColumns = [
  { title: 'unit', wrap: 'anywhere' },
  { title: 'what is wrong', wrap: 'words' },
] as const;
