import { planRun, prune } from '@pgsilo/engine';
import type { Pipeline, PrunedSink, RunPlan } from '@pgsilo/engine';
import type { Unit } from '@pgsilo/plugin';
import { redact, throwIfAborted, toPgsiloError } from '@pgsilo/plugin';
import { selectionOf } from '../arguments.ts';
import type { SelectionOptions } from '../arguments.ts';
import { errorDocument, errorCell } from '../error-text.ts';
import type { Invocation } from '../invocation.ts';
import { withPipeline } from '../open-pipeline.ts';
import { formatBytes, formatCount, formatNumber } from '../terminal/format.ts';
import { printable, printableText } from '../terminal/printable.ts';
import { shellWord } from '../terminal/shell.ts';
import { renderTable } from '../terminal/table.ts';

export type PlanOptions = SelectionOptions;

/** `pgsilo plan`: what a run would do. Units that are missing make it exit 1, as the run would. */
export async function plan(invocation: Invocation, file: string, options: PlanOptions): Promise<number> {
  const selection = selectionOf(options);
  return withPipeline(file, invocation, async (pipeline) => {
    const found = await planRun(pipeline, { ...selection, signal: invocation.signal });
    const sinks = pipeline.sinks.map(({ name, use, required, accept }) => ({
      name,
      use,
      required,
      ...(accept ? { accept: accept.periods } : {}),
    }));
    const pruned = await planPrune(pipeline, invocation);
    if (invocation.json) {
      const retention = pruned.map(({ sink, kept, removed, bytes }) => ({ sink, kept, removed, bytes }));
      await invocation.out.json({ pipeline: pipeline.name, ...planDocument(found), sinks, retention });
    } else {
      await invocation.out.write(planText(found, invocation));
      const names = sinks.map(({ name, required, accept }) => {
        const notes = [
          ...(accept ? [`only the first ${accept.join(', ')}`] : []),
          ...(required ? [] : ['not required']),
        ];
        return printable(name) + (notes.length > 0 ? ` (${notes.join('; ')})` : '');
      });
      await invocation.out.write(
        `Sinks: ${names.join(', ')}. At most ${formatCount(pipeline.limits.jobs, 'job')} at once.\n`,
      );
      for (const sink of pruned) await invocation.out.write(pruneText(sink, file));
    }
    return found.missing.length > 0 ? 1 : 0;
  });
}

/** What a prune would do now to each sink that has a retention. A sink that cannot be looked at does not keep a plan from being shown. */
async function planPrune(pipeline: Pipeline, { signal, log }: Invocation): Promise<readonly PrunedSink[]> {
  if (!pipeline.sinks.some(({ retention }) => retention)) return [];
  try {
    const { sinks } = await prune(pipeline, { dryRun: true, signal });
    for (const { sink, error } of sinks)
      if (error) log.warn('what retention would remove is not known', { sink, error: error.message });
    return sinks.filter(({ retention, error }) => retention && !error);
  } catch (error) {
    throwIfAborted(signal);
    log.warn('what retention would remove is not known', { error: toPgsiloError(error).message });
    return [];
  }
}

function pruneText({ sink, removed, kept, bytes }: PrunedSink, file: string): string {
  const goes = removed === 0 ? 'nothing' : `${formatCount(removed, 'backup')} (${formatBytes(bytes)})`;
  const rest = removed === 0 ? '' : `, and keep ${formatNumber(kept)}`;
  const how = removed === 0 ? '' : ` \`pgsilo prune ${shellWord(file)} --dry-run\` lists them.`;
  return `Retention would now remove ${goes} from ${printable(sink)}${rest}.${how}\n`;
}

function planDocument({ jobs, missing, warnings, notes, bytes }: RunPlan): object {
  return {
    estimatedBytes: bytes,
    jobs: jobs.map(({ id, units, estimatedBytes }) => ({
      id,
      units: units.map(({ name, labels }) => ({ unit: name, labels })),
      estimatedBytes: estimatedBytes ?? null,
    })),
    missing: missing.map(({ unit, error }) => ({
      unit: unit.name,
      labels: unit.labels,
      error: errorDocument(error),
    })),
    warnings: warnings.map(redact),
    notes,
  };
}

function planText({ jobs, missing, warnings, notes, bytes }: RunPlan, { style, out }: Invocation): string {
  const units = jobs.reduce((total, job) => total + job.units.length, 0);
  const rows = jobs.flatMap((job, index) =>
    job.units.map((unit, position) => [
      position === 0 ? `${index + 1}` : '',
      printable(unit.name),
      position > 0 ? '' : job.estimatedBytes === undefined ? '?' : formatBytes(job.estimatedBytes),
      labelsText(unit),
    ]),
  );
  const parts: string[] = [];
  if (rows.length > 0) parts.push(renderTable(columns, rows, { style, width: out.width }));
  if (missing.length > 0) {
    const lost = missing.map(({ unit, error }) => [
      { text: printable(unit.name), colour: style.red },
      errorCell(error),
    ]);
    parts.push(`${style.red('Missing')}\n${renderTable(missingColumns, lost, { style, width: out.width })}`);
  }
  for (const warning of warnings)
    parts.push(`${style.yellow('warning')}  ${printableText(redact(warning))}\n`);
  const lacking = missing.length > 0 ? `, ${style.red(`${missing.length} missing`)}` : '';
  parts.push(
    `${formatCount(units, 'unit')} in ${formatCount(jobs.length, 'job')}, about ${formatBytes(bytes)}${lacking}.\n`,
  );
  if (notes.length > 0) parts.push(style.dim(notes.map((note) => `${note}\n`).join('')));
  return parts.join('\n');
}

const columns = [
  { title: 'job', align: 'right' },
  { title: 'unit', wrap: 'anywhere' },
  { title: 'size', align: 'right' },
  { title: 'labels', wrap: 'words' },
] as const;

const missingColumns = [
  { title: 'unit', wrap: 'anywhere' },
  { title: 'why', wrap: 'words' },
] as const;

/** `plan=demo region=eu`. */
export function labelsText({ labels }: Pick<Unit, 'labels'>): string {
  return Object.entries(labels)
    .map(([label, value]) => `${printable(label)}=${printable(value)}`)
    .join(' ');
}
