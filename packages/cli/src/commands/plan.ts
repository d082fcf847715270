import { planRun } from '@pgsilo/engine';
import type { RunPlan } from '@pgsilo/engine';
import type { Unit } from '@pgsilo/plugin';
import { redact } from '@pgsilo/plugin';
import { selectionOf } from '../arguments.ts';
import type { SelectionOptions } from '../arguments.ts';
import { errorDocument, errorCell } from '../error-text.ts';
import type { Invocation } from '../invocation.ts';
import { withPipeline } from '../open-pipeline.ts';
import { formatBytes, formatCount } from '../terminal/format.ts';
import { printable, printableText } from '../terminal/printable.ts';
import { renderTable } from '../terminal/table.ts';

export type PlanOptions = SelectionOptions;

/** `pgsilo plan`: what a run would do. Units that are missing make it exit 1, as the run would. */
export async function plan(invocation: Invocation, file: string, options: PlanOptions): Promise<number> {
  const selection = selectionOf(options);
  return withPipeline(file, invocation, async (pipeline) => {
    const found = await planRun(pipeline, { ...selection, signal: invocation.signal });
    const sinks = pipeline.sinks.map(({ name, use, required }) => ({ name, use, required }));
    if (invocation.json) {
      await invocation.out.json({ pipeline: pipeline.name, ...planDocument(found), sinks });
    } else {
      await invocation.out.write(planText(found, invocation));
      const names = sinks.map(({ name, required }) => printable(name) + (required ? '' : ' (not required)'));
      await invocation.out.write(
        `Sinks: ${names.join(', ')}. At most ${formatCount(pipeline.limits.jobs, 'job')} at once.\n`,
      );
    }
    return found.missing.length > 0 ? 1 : 0;
  });
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
