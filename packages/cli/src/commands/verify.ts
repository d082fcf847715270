import { verify } from '@pgsilo/engine';
import type { VerifyLevel, VerifyReport } from '@pgsilo/engine';
import { PgsiloError } from '@pgsilo/plugin';
import { errorDocument, errorCell } from '../error-text.ts';
import type { Invocation } from '../invocation.ts';
import { withPipeline } from '../open-pipeline.ts';
import { formatBytes, formatCount, formatDuration } from '../terminal/format.ts';
import { printable } from '../terminal/printable.ts';
import { renderTable } from '../terminal/table.ts';
import { watchVerify } from '../verify-watch.ts';

export interface VerifyOptions {
  readonly level: VerifyLevel;
  readonly sample?: number;
  readonly all?: boolean;
  readonly backup?: string;
  readonly sink?: string;
}

/** `pgsilo verify`: reads backups back and proves them. Exits 1 when one of them is not whole. */
export async function verifyBackups(
  invocation: Invocation,
  file: string,
  units: readonly string[],
  options: VerifyOptions,
): Promise<number> {
  if (options.all && options.backup !== undefined) {
    throw new PgsiloError('usage.invalid', '--all and --backup exclude each other', {
      hint: 'Give one of them.',
    });
  }
  const { level, sample, all, backup, sink } = options;
  return withPipeline(file, invocation, async (pipeline) => {
    const began = invocation.now().getTime();
    const watch = await watchVerify(invocation);
    let report: VerifyReport;
    try {
      report = await verify(pipeline, {
        ...(units.length > 0 ? { units } : {}),
        ...(backup === undefined ? {} : { backup }),
        ...(sample === undefined ? {} : { sample }),
        ...(sink === undefined ? {} : { sink }),
        all: all ?? false,
        level,
        signal: invocation.signal,
        observe: (event) => watch.observe(event),
      });
    } finally {
      watch.end();
    }
    const failed = report.status === 'failed';
    if (invocation.json) await invocation.out.json(reportDocument(pipeline.name, report));
    else if (!invocation.quiet || failed) {
      await invocation.out.write(reportText(report, invocation.now().getTime() - began, invocation));
    }
    return failed ? 1 : 0;
  });
}

function reportDocument(
  pipeline: string,
  { status, level, checked, missing, unseen, records }: VerifyReport,
): object {
  return {
    pipeline,
    status,
    level,
    checked: checked.map(({ error, ...rest }) => ({
      ...rest,
      ...(error ? { error: errorDocument(error) } : {}),
    })),
    missing: missing.map(({ error, ...rest }) => ({ ...rest, error: errorDocument(error) })),
    unseen: unseen.map(({ sink, error }) => ({ sink, error: errorDocument(error) })),
    records: records.map(({ error, ...rest }) => ({ ...rest, error: errorDocument(error) })),
  };
}

function reportText(report: VerifyReport, took: number, { style, out }: Invocation): string {
  const bad = [...report.checked, ...report.missing].flatMap(({ unit, backup, sink, error }) =>
    error ? [[{ text: printable(unit), colour: style.red }, backup, printable(sink), errorCell(error)]] : [],
  );
  const records = report.records.map(({ key, sink, error }) => [
    { text: printable(key), colour: style.red },
    '',
    printable(sink),
    errorCell(error),
  ]);
  const unseen = report.unseen.map(({ sink, error }) => [
    { text: 'not looked at', colour: style.red },
    '',
    printable(sink),
    errorCell(error),
  ]);
  const rows = [...bad, ...unseen, ...records];
  const table = rows.length === 0 ? '' : `${renderTable(columns, rows, { style, width: out.width })}\n`;
  const skipped = report.checked.filter(({ status }) => status === 'skipped');
  const bytes = formatBytes(report.checked.reduce((total, each) => total + each.bytes, 0));
  const good = report.checked.filter(({ status }) => status === 'ok').length;
  const verdict = report.status === 'ok' ? style.green('ok') : style.red('failed');
  const proved = report.level === 'restore' ? 'restored and proved' : 'whole';
  const parts = [`${formatCount(good, 'backup')} ${proved}`];
  if (bad.length > 0) parts.push(style.red(`${formatCount(bad.length, 'backup')} not`));
  if (records.length > 0) parts.push(style.red(`${formatCount(records.length, 'record')} not`));
  if (skipped.length > 0) parts.push(`${skipped.length} not tried`);
  if (unseen.length > 0) parts.push(style.red(`${formatCount(unseen.length, 'sink')} not looked at`));
  const how = `${bytes} read at level ${report.level} in ${formatDuration(took)}`;
  const notTried = skipped
    .map(
      ({ unit, backup, summary }) =>
        `${style.dim('not tried')}  ${printable(unit)} ${backup}: ${printable(summary ?? '')}\n`,
    )
    .join('');
  return `${table}${notTried}${verdict}  ${parts.join(', ')}, ${how}\n`;
}

const columns = [
  { title: 'unit', wrap: 'anywhere' },
  { title: 'backup' },
  { title: 'sink', wrap: 'anywhere' },
  { title: 'what is wrong', wrap: 'words' },
] as const;
