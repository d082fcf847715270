import type { PreparedRestore, RestoreReport } from '@pgsilo/engine';
import { redact, type StartedServer } from '@pgsilo/plugin';
import { failedHookDocument } from './error-text.ts';
import type { Invocation } from './invocation.ts';
import { formatDuration } from './terminal/format.ts';
import { printable, printableText } from './terminal/printable.ts';
import { indented } from './terminal/wrap.ts';

/** A restore for `--json`. */
export function restoreDocument(report: RestoreReport, { plan, entry }: PreparedRestore): object {
  return {
    ...report,
    snapshotAt: entry.manifest.snapshotAt,
    plan: plan.map(redact),
    warnings: report.warnings.map(redact),
    failedHooks: report.failedHooks.map(failedHookDocument),
    next: report.next.map(redact),
  };
}

/** A restore for people: where it is, what proves it, how long each step took, what to do next. */
export function restoreText(report: RestoreReport, { style, quiet, progress, out }: Invocation): string {
  const { unit, target, kept, safetyBackup, compared, steps, warnings, next, seconds } = report;
  const safe = (text: string): string => printableText(redact(text)).replaceAll('\n', '\n           ');
  const line = (label: string, text: string): string => `  ${style.dim(label.padEnd(9))} ${text}\n`;
  const widest = Math.max(...steps.map(({ name }) => name.length), 0);
  const parts = [
    `${style.green('restored')}  ${style.bold(printable(unit))}  ${report.backup}  in ${formatDuration(seconds * 1000)}\n`,
    line('is now', printable(target)),
    line('compared', safe(compared)),
    ...(report.rows ?? []).map((each, index) =>
      line(
        index === 0 ? 'rows' : '',
        `${printable(each.table)}: ${each.inserted} inserted, ${each.replaced} replaced, ${each.skipped} skipped`,
      ),
    ),
    ...(report.server ? serverLines(report.server, line, safe) : []),
    ...(kept === undefined ? [] : [line('kept', `${printable(kept)} is what was live before`)]),
    ...(safetyBackup === undefined
      ? []
      : [
          line(
            'saved',
            `${safetyBackup.backup} is the backup of it, in ${safetyBackup.sinks.map(printable).join(', ')}`,
          ),
        ]),
  ];
  // Those who watched saw each step with its time; the others get them here.
  if (!quiet && progress !== 'live') {
    for (const [index, step] of steps.entries()) {
      const name = safe(step.name).padEnd(widest);
      parts.push(line(index === 0 ? 'steps' : '', `${name}  ${formatDuration(step.seconds * 1000)}`));
    }
  }
  const unwell = report.failedHooks.map(({ error }) => `it is restored, but ${error.message}`);
  for (const text of [...warnings, ...unwell]) {
    const told = indented(printableText(redact(text)), 12, out.width);
    parts.push(`  ${style.yellow('warning'.padEnd(9))} ${told}\n`);
  }
  for (const [index, text] of next.entries()) parts.push(line(index === 0 ? 'next' : '', safe(text)));
  return parts.join('');
}

/** Where a server that was started has stopped recovering, and where it is. */
function serverLines(
  { end, files, socketFolder, port, pid, log }: StartedServer,
  line: (label: string, text: string) => string,
  safe: (text: string) => string,
): readonly string[] {
  const last = end?.lastTransaction;
  const stopped = end
    ? `timeline ${end.timeline} at ${end.lsn}, ${end.why}; the last transaction in it ${last === undefined ? 'is older than the backup' : `is of ${last}`}. It goes on as timeline ${end.goesOnAs}`
    : 'the server does not say where it stopped';
  return [
    line('recovered', safe(files === 0 ? stopped : `${stopped}. Files of write-ahead log: ${files}`)),
    line('running', safe(`psql -h ${socketFolder} -p ${port} (process ${pid}, log ${log})`)),
  ];
}
