import type { PrunedBackup, PrunedSink, PrunedWal, PruneReport, Reason } from '@pgsilo/engine';
import { errorDocument, errorCell } from './error-text.ts';
import type { Invocation } from './invocation.ts';
import { formatBytes, formatCount, formatNumber, formatTime } from './terminal/format.ts';
import { printable } from './terminal/printable.ts';
import type { Cell, Column } from './terminal/table.ts';

/** One backup for `--json`. */
export function prunedDocument({ status, reasons, until, error, ...backup }: PrunedBackup): object {
  return {
    ...backup,
    status: status === 'unknown' ? 'unreadable' : status,
    rules: reasons.map(({ rule }) => rule),
    why: whyText(reasons),
    ...(until ? { until: until.toISOString() } : {}),
    ...(error ? { error: errorDocument(error) } : {}),
  };
}

/** The sums of a sink for `--json`. */
export function sinkDocument({ wal, error, ...sums }: PrunedSink): object {
  return {
    ...sums,
    ...(wal ? { wal: { ...wal, ...(wal.until ? { until: wal.until.toISOString() } : {}) } } : {}),
    ...(error ? { error: errorDocument(error) } : {}),
  };
}

export const pruneColumns: readonly Column[] = [
  { title: 'unit', wrap: 'anywhere' },
  { title: 'backup' },
  { title: 'sink', wrap: 'anywhere' },
  { title: 'size', align: 'right' },
  { title: 'what' },
  { title: 'why', wrap: 'words' },
];

export function pruneRow(backup: PrunedBackup, { style }: Invocation): Cell[] {
  const { unit, sink, bytes, outcome, error, retainedObjects = 0 } = backup;
  const colours = {
    kept: error ? style.red : undefined,
    planned: style.yellow,
    removed: style.yellow,
    retained: style.yellow,
    failed: style.red,
  };
  const words = {
    kept: 'keep',
    planned: 'remove',
    removed: 'removed',
    retained: 'retained',
    failed: 'failed',
  };
  const colour = colours[outcome];
  const said = [
    ...(outcome === 'retained' ? [retainedText(backup.until)] : []),
    whyText(backup.reasons),
    ...(retainedObjects > 0 ? [`${formatCount(retainedObjects, 'object')} of it retained by the store`] : []),
    ...(error ? [errorCell(error)] : []),
  ].join('; ');
  const what = words[outcome];
  return [
    printable(unit),
    backup.backup,
    printable(sink),
    formatBytes(bytes),
    colour ? { text: what, colour } : what,
    error ? { text: said, colour: style.red } : said,
  ];
}

function retainedText(until: Date | undefined): string {
  return until ? `retained until ${formatTime(until)}` : 'retained by the store without an end';
}

/** The rules that keep a backup, or why none does, in words. */
export function whyText(reasons: readonly Reason[]): string {
  return reasons.map(reasonText).join(', ');
}

function reasonText(reason: Reason): string {
  switch (reason.rule) {
    case 'required':
      return `required by ${reason.by}`;
    case 'departed':
      return `its unit left the registry: held until ${formatTime(reason.until)}`;
    case 'newest':
      return 'newest good one';
    case 'verified':
      return 'newest good one that was proved by restoring it';
    case 'ahead':
      return 'its time lies ahead of the clock';
    case 'damaged':
      return 'cannot be restored; kept only while there is no newer good one';
    case 'unreadable':
      return 'its manifest cannot be read';
    case 'unruled':
      return 'nothing is said about such units';
    case 'none':
      return 'no rule keeps it';
    case 'within':
    case 'pinned':
      return reason.rule;
    default:
      return `${reason.rule} ${reason.place} of ${reason.of}`;
  }
}

/** What was done to each sink, a line for each. */
export function pruneSums({ dryRun, sinks }: PruneReport, { style }: Invocation): string {
  return sinks.map((sink) => `${sinkLine(sink, dryRun, style)}\n`).join('');
}

function sinkLine(sums: PrunedSink, dryRun: boolean, style: Invocation['style']): string {
  const { sink, retention, kept, removed, retained, failed, unreadable, bytes, garbage, wal, error } = sums;
  const verb = dryRun ? 'to remove' : 'removed';
  const parts = [
    ...(retention
      ? [`${formatCount(removed, 'backup')} ${verb} (${formatBytes(bytes)}), ${formatNumber(kept)} kept`]
      : ['no retention: all backups kept']),
    ...(garbage > 0 ? [`${formatCount(garbage, 'object')} of no backup ${verb}`] : []),
    ...(retained > 0 ? [`${retained} retained by the store`] : []),
    ...(wal ? walParts(wal, verb) : []),
    ...(unreadable > 0 ? [style.red(`${unreadable} unreadable`)] : []),
    ...(failed > 0 ? [style.red(`${failed} not removed`)] : []),
    ...(error ? [style.red(errorCell(error))] : []),
  ];
  return `${style.bold(printable(sink))}  ${parts.join(', ')}`;
}

function walParts(
  { kept, removed, bytes, retained, until, unknown, held }: PrunedWal,
  verb: string,
): string[] {
  if (kept + removed + retained === 0) return [];
  const files = formatCount(removed, 'file');
  return [
    `${files} of write-ahead log ${verb} (${formatBytes(bytes)}), ${formatNumber(kept)} kept${held === undefined ? '' : `: ${held}`}`,
    ...(retained > 0 ? [`${formatCount(retained, 'file')} of write-ahead log ${retainedText(until)}`] : []),
    ...(unknown > 0 ? [`${formatCount(unknown, 'object')} under wal/ of no known name kept`] : []),
  ];
}
