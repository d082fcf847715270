import { copyBackups } from '@pgsilo/engine';
import type { CopiedBackup, CopyReport } from '@pgsilo/engine';
import { parseTime } from '@pgsilo/engine';
import { errorCell, errorDocument } from '../error-text.ts';
import type { Invocation } from '../invocation.ts';
import { withPipeline } from '../open-pipeline.ts';
import { formatBytes, formatCount, formatDuration } from '../terminal/format.ts';
import { printable } from '../terminal/printable.ts';
import { renderTable } from '../terminal/table.ts';

export interface CopyCommandOptions {
  readonly from: string;
  readonly to: string;
  readonly unit?: readonly string[];
  readonly since?: string;
  readonly dryRun?: boolean;
}

/** `pgsilo copy`: fills what one sink lacks from another. Exits 1 when some could not be copied, 3 when none could. */
export async function copy(
  invocation: Invocation,
  file: string,
  { from, to, unit, since, dryRun = false }: CopyCommandOptions,
): Promise<number> {
  return withPipeline(file, invocation, async (pipeline, { timezone }) => {
    const began = invocation.now().getTime();
    const report = await copyBackups(pipeline, {
      from,
      to,
      ...(unit ? { units: unit } : {}),
      ...(since === undefined ? {} : { since: parseTime(since, timezone) }),
      dryRun,
      signal: invocation.signal,
      observe: ({ status, backup, unit: name, bytes, error }) =>
        error
          ? pipeline.log.error(`${backup} could not be copied: ${error.message}`, { unit: name })
          : pipeline.log.info(`${status} ${backup}`, { unit: name, bytes }),
    });
    const failed = report.backups.filter(({ status }) => status === 'failed').length;
    if (invocation.json) await invocation.out.json(reportDocument(pipeline.name, report, dryRun));
    else if (!invocation.quiet || failed > 0)
      await invocation.out.write(reportText(report, invocation.now().getTime() - began, dryRun, invocation));
    return failed === 0 ? 0 : failed < report.backups.length ? 1 : 3;
  });
}

function reportDocument(pipeline: string, report: CopyReport, dryRun: boolean): object {
  return {
    pipeline,
    ...report,
    dryRun,
    backups: report.backups.map(({ error, ...rest }) => ({
      ...rest,
      ...(error ? { error: errorDocument(error) } : {}),
    })),
  };
}

function reportText(
  { from, to, present, backups }: CopyReport,
  took: number,
  dryRun: boolean,
  { style, out }: Invocation,
): string {
  const rows = backups.map(({ unit, backup, status, bytes, error }) => [
    error ? { text: printable(unit), colour: style.red } : printable(unit),
    backup,
    error ? errorCell(error) : `${status}, ${formatBytes(bytes)}`,
  ]);
  const table = rows.length === 0 ? '' : `${renderTable(columns, rows, { style, width: out.width })}\n`;
  const count = (wanted: CopiedBackup['status']): number =>
    backups.filter(({ status }) => status === wanted).length;
  const failed = count('failed');
  const verdict = failed > 0 ? style.red('failed') : style.green('ok');
  const sent = formatBytes(backups.reduce((sum, { sentBytes }) => sum + sentBytes, 0));
  const parts = dryRun
    ? [`${formatCount(count('lacking'), 'backup')} would be copied`]
    : [`${formatCount(count('copied'), 'backup')} copied`, `${sent} sent in ${formatDuration(took)}`];
  if (failed > 0) parts.push(style.red(`${formatCount(failed, 'backup')} could not be`));
  const there = `${formatCount(present, 'backup')} there before`;
  return `${table}${verdict}  ${printable(from)} → ${printable(to)}: ${[...parts, there].join(', ')}\n`;
}

const columns = [
  { title: 'unit', wrap: 'anywhere' },
  { title: 'backup' },
  { title: 'what became of it', wrap: 'words' },
] as const;
