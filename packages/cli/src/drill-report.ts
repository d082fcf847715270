import type { DrilledUnit, DrillReport } from '@pgsilo/engine';
import { redact } from '@pgsilo/plugin';
import { errorCell, errorDocument } from './error-text.ts';
import type { Invocation } from './invocation.ts';
import { formatBytes, formatCount, formatDuration, formatTime } from './terminal/format.ts';
import { printable, printableText } from './terminal/printable.ts';
import { renderTable } from './terminal/table.ts';

/** A drill for `--json`. */
export function drillDocument(report: DrillReport): object {
  const units = report.units.map(({ error, ...unit }) => ({
    ...unit,
    ...(error ? { error: errorDocument(error) } : {}),
  }));
  return { ...report, units, warnings: report.warnings.map(redact) };
}

/** A drill for people. */
export function drillText(report: DrillReport, { style, out }: Invocation): string {
  const rows = report.units.map((unit) => {
    const said = saidOf(unit);
    const [status, colour] =
      unit.status === 'ok'
        ? ['ok', style.green]
        : unit.status === 'failed'
          ? ['failed', style.red]
          : ['not tried', style.yellow];
    return [
      printable(unit.unit),
      unit.backup ?? '',
      formatBytes(unit.rawBytes),
      tookOf(unit),
      { text: status, colour },
      unit.status === 'failed' ? { text: said, colour: style.red } : said,
    ];
  });
  const warnings = report.warnings.map(
    (text) => `${style.yellow('warning')}  ${printableText(redact(text))}\n`,
  );
  const objectives = objectiveLines(report).map(
    ({ met, text }) => `${met ? style.green('kept') : style.red('missed')}  ${text}\n`,
  );
  const verdict = report.status === 'ok' ? style.green('ok') : style.red('failed');
  return (
    `${renderTable(columns, rows, { style, width: out.width })}\n${warnings.join('')}${objectives.join('')}` +
    `${verdict}  ${style.bold(printable(report.pipeline))}  ${report.run}, ${sumsOf(report)}\n`
  );
}

const columns = [
  { title: 'unit', wrap: 'anywhere' },
  { title: 'backup' },
  { title: 'size', align: 'right' },
  { title: 'restored in', align: 'right' },
  { title: 'result' },
  { title: 'compared', wrap: 'words' },
] as const;

/** A drill as a document to be kept: what an auditor asks for. */
export function drillMarkdown(report: DrillReport): string {
  const lines = [
    `# Recovery drill of ${cell(report.pipeline)}: ${report.status}`,
    '',
    `- Run: ${report.run}`,
    `- When: ${report.startedAt} to ${report.finishedAt}`,
    `- Where: ${cell(report.server)}`,
    `- Result: ${sumsOf(report)}`,
    ...objectiveLines(report).map(
      ({ met, text }) => `- Objective ${met ? 'kept' : '**missed**'}: ${cell(text)}`,
    ),
    ...report.warnings.map((text) => `- Warning: ${cell(redact(text))}`),
    '',
    '| unit | backup | state of | size (bytes) | restored in (s) | result | compared |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...report.units.map((unit) => {
      const took = unit.restoreSeconds === undefined ? '' : unit.restoreSeconds.toFixed(1);
      const fields = [
        unit.unit,
        unit.backup ?? '',
        unit.snapshotAt ?? '',
        String(unit.rawBytes),
        took,
        unit.status,
      ];
      return `| ${[...fields, saidOf(unit)].map(cell).join(' | ')} |`;
    }),
  ];
  return `${lines.join('\n')}\n`;
}

/** Names are chosen by tenants: none may end a cell, begin markup or bring in HTML. */
function cell(text: string): string {
  return printableText(text)
    .replaceAll('\n', ' ')
    .replaceAll(/[\\`*_[\]<>|&#!]/g, (character) => `&#${character.charCodeAt(0)};`);
}

function saidOf(unit: DrilledUnit): string {
  if (unit.error) return errorCell(unit.error);
  return printableText(redact(unit.summary ?? '')).replaceAll('\n', ' ');
}

function tookOf({ restoreSeconds }: DrilledUnit): string {
  return restoreSeconds === undefined ? '' : formatDuration(restoreSeconds * 1000);
}

function sumsOf({ units, recoverySeconds }: DrillReport): string {
  const count = (status: DrilledUnit['status']): number =>
    units.filter((unit) => unit.status === status).length;
  const others = [
    ...(count('failed') > 0 ? [`${count('failed')} failed`] : []),
    ...(count('skipped') > 0 ? [`${count('skipped')} not tried`] : []),
  ];
  const bytes = units.reduce(
    (total, { rawBytes, status }) => total + (status === 'skipped' ? 0 : rawBytes),
    0,
  );
  const restored = `${formatCount(count('ok'), 'unit')} restored and proved`;
  return `${[restored, ...others].join(', ')}; ${formatBytes(bytes)} in ${formatDuration(recoverySeconds * 1000)}`;
}

function objectiveLines({
  objectives: { rto, rpo },
  startedAt,
}: DrillReport): { met: boolean; text: string }[] {
  const time = (seconds: number): string => formatDuration(seconds * 1000);
  const lines: { met: boolean; text: string }[] = [];
  if (rto)
    lines.push({
      met: rto.met,
      text: `rto: everything is back within ${time(rto.target)}; it took ${time(rto.actual ?? 0)}${!rto.met && (rto.actual ?? 0) <= rto.target ? ', but not everything came back' : ''}`,
    });
  if (rpo) {
    const unit = printable(rpo.unit ?? '');
    const age =
      rpo.actual === undefined
        ? `${unit} has no good backup`
        : `the newest good backup of ${unit} was ${time(rpo.actual)} old at ${formatTime(startedAt)}`;
    lines.push({
      met: rpo.met,
      text: `rpo: no unit's newest good backup is older than ${time(rpo.target)}; ${age}`,
    });
  }
  return lines;
}
