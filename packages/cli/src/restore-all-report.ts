import type { RestoreAllOptions, RestoreAllPlan, RestoreAllReport, RestoredUnit } from '@pgsilo/engine';
import { redact } from '@pgsilo/plugin';
import { errorCell, errorDocument, failedHookDocument } from './error-text.ts';
import type { Invocation } from './invocation.ts';
import { isThere, unitText } from './restore-all-watch.ts';
import { formatCount, formatDuration, formatTime } from './terminal/format.ts';
import { printable, printableText } from './terminal/printable.ts';
import { renderTable } from './terminal/table.ts';
import type { Cell } from './terminal/table.ts';

/** What will be done, for people. */
export function restoreAllPlan(
  pipeline: string,
  { first, joined, atOnce, warnings }: RestoreAllPlan,
  { before }: Pick<RestoreAllOptions, 'before'>,
  { style }: Invocation,
): string {
  const which = before
    ? `the newest backup not after ${formatTime(before.toISOString())}`
    : 'the newest backup';
  const lines = [
    `Restore ${which} of each unit into the server of --to-server; nothing that is there is replaced or changed`,
    ...(first.length > 0
      ? [`${joined ? 'First' : 'One after another'}: ${first.map(printable).join(', ')}`]
      : []),
    `Then all other units that belong to the pipeline by what was restored, ${atOnce} at once`,
    ...(joined
      ? [
          'Then what of one unit needs another, and at the very end the settings of the database: before that only the role that restores can connect',
        ]
      : []),
    'Leave what is there already and equal to its backup',
  ];
  const careful = warnings.map((text) => `  ${style.yellow('warning')}  ${printableText(redact(text))}\n`);
  return `${style.bold(printable(pipeline))}\n${lines.map((line) => `  - ${line}\n`).join('')}${careful.join('')}\n`;
}

/** A restore of everything for `--json`. */
export function restoreAllDocument(report: RestoreAllReport, planWarnings: readonly string[]): object {
  return {
    ...report,
    warnings: planWarnings.map(redact),
    units: report.units.map(({ error, warnings, ...unit }) => ({
      ...unit,
      warnings: warnings.map(redact),
      ...(error ? { error: errorDocument(error) } : {}),
    })),
    failedHooks: report.failedHooks.map(failedHookDocument),
    ...(report.error ? { error: errorDocument(report.error) } : {}),
  };
}

/** A restore of everything for people: a table of all units, those that are not there last, then the sums. */
export function restoreAllText(report: RestoreAllReport, { style, out }: Invocation): string {
  const { units, failedHooks, error } = report;
  const lacking = units.filter((unit) => !isThere(unit));
  const there = units.filter(isThere);
  const rows = [...there, ...lacking].map((unit): Cell[] => [
    isThere(unit) ? printable(unit.unit) : { text: printable(unit.unit), colour: style.red },
    unit.backup ?? '',
    unit.snapshotAt === undefined ? '' : formatTime(unit.snapshotAt),
    unit.error ? errorCell(unit.error) : unitText(unit),
  ]);
  const warnings = units.flatMap(({ unit, warnings: texts }) =>
    texts.map((text) => `${style.yellow('warning')}  ${printable(unit)}: ${printableText(redact(text))}\n`),
  );
  const hooks = failedHooks.map((each) => `${style.red('hook')}     ${errorCell(each.error)}\n`);
  const stopped = error ? [`${style.red('stopped')}  ${errorCell(error)}\n`] : [];
  return [
    rows.length > 0 ? `${renderTable(columns, rows, { style, width: out.width })}\n` : '',
    ...warnings,
    ...hooks,
    ...stopped,
    sums(report, there, lacking, style),
  ].join('');
}

function sums(
  { status, pipeline, startedAt, finishedAt }: RestoreAllReport,
  there: readonly RestoredUnit[],
  lacking: readonly RestoredUnit[],
  style: Invocation['style'],
): string {
  const number = (wanted: RestoredUnit['status']): number =>
    [...there, ...lacking].filter((unit) => unit.status === wanted).length;
  const counts = [
    `${formatCount(number('restored'), 'unit')} restored`,
    ...(number('present') > 0 ? [`${number('present')} there already`] : []),
    ...(number('missing') > 0 ? [style.red(`${number('missing')} without a backup`)] : []),
    ...(number('failed') > 0 ? [style.red(`${number('failed')} failed`)] : []),
    ...(number('not-begun') > 0 ? [style.red(`${number('not-begun')} not begun`)] : []),
  ];
  const marks = {
    ok: style.green('ok'),
    partial: style.yellow('partial'),
    failed: style.red('failed'),
    aborted: style.red('interrupted'),
  };
  const took = formatDuration(new Date(finishedAt).getTime() - new Date(startedAt).getTime());
  const again =
    status === 'ok'
      ? ''
      : '  The same command goes on: it leaves what is there and equal, and tries the rest again.\n';
  return `${marks[status]}  ${style.bold(printable(pipeline))}\n  ${counts.join(', ')} in ${took}\n${again}`;
}

const columns = [
  { title: 'unit', wrap: 'anywhere' },
  { title: 'backup' },
  { title: 'state of' },
  { title: 'what became of it', wrap: 'words' },
] as const;
