import { access, constants } from 'node:fs/promises';
import { hostname, userInfo } from 'node:os';
import { resolve } from 'node:path';
import { findHoldings, noteErasure, planErasure, unitKeysOf } from '@pgsilo/engine';
import type { ErasurePlan, Holding, Pipeline } from '@pgsilo/engine';
import { PgsiloError } from '@pgsilo/plugin';
import type { Destruction, Receipt } from '@pgsilo/plugin';
import { confirmDestroying } from '../confirm.ts';
import type { Invocation } from '../invocation.ts';
import { readPipelineFile, usePipeline, withPipeline } from '../open-pipeline.ts';
import { writeReceipt } from '../receipt-files.ts';
import type { ReceiptFiles } from '../receipt-files.ts';
import { formatCount, formatTime } from '../terminal/format.ts';
import { printable } from '../terminal/printable.ts';

export interface DestroyOptions {
  readonly by?: string;
  readonly also?: readonly string[];
  readonly receipt?: string;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

/** `pgsilo keys destroy`. Everything that can fail is looked at before anything is destroyed. */
export async function destroyKeys(
  invocation: Invocation,
  file: string,
  unit: string,
  options: DestroyOptions,
): Promise<number> {
  const { signal, json, quiet, out } = invocation;
  return withPipeline(file, invocation, async (pipeline) => {
    const keys = await unitKeysOf(pipeline);
    const folder = resolve(options.receipt ?? '.');
    const plan = await planErasure(pipeline, keys, unit, signal);
    const remaining = await findRemaining(invocation, pipeline, plan, options.also ?? []);
    if (options.dryRun) {
      if (json) await out.json({ ...documentOf(pipeline, plan, remaining), dryRun: true });
      else await out.write(planText(plan, remaining));
      return 0;
    }
    await mustBeWritable(folder);
    if (!json && !quiet) await out.write(planText(plan, remaining));
    if (!options.yes) await confirmDestroying(unit, formatCount(plan.locked.length, 'backup'), invocation);

    const order = { by: options.by ?? `${userInfo().username}@${hostname()}`, at: pipeline.clock.now() };
    const destruction = await keys.destroy(unit, order);
    const facts = {
      at: order.at,
      pipeline: pipeline.name,
      backups: plan.locked,
      remaining: remaining.map(remainingFact),
    };
    const receipt = await keys.receipt(destruction, facts);
    const files = await keepReceipt(receipt, folder, unit, order.at);
    for (const warning of await noteErasure(pipeline, plan, firstOf(destruction), signal))
      invocation.log.warn(warning);
    if (json) {
      const { folders, keys: destroyed } = destruction;
      const done = { keys: destroyed, folders, receipt: files };
      await out.json({ ...documentOf(pipeline, plan, remaining), dryRun: false, ...done });
    } else if (!quiet) await out.write(doneText(destruction, files));
    return 0;
  });
}

/** The date and name of a destruction that was interrupted once stay those of the first call. */
function firstOf({ keys }: Destruction): { readonly by: string; readonly at: Date } {
  const [first] = keys.toSorted((a, b) => (a.destroyedAt < b.destroyedAt ? -1 : 1));
  return { by: first!.destroyedBy, at: new Date(first!.destroyedAt) };
}

async function findRemaining(
  invocation: Invocation,
  own: Pipeline,
  { unit, databases, lockedNames }: ErasurePlan,
  files: readonly string[],
): Promise<readonly Holding[]> {
  const { signal } = invocation;
  const found = [...(await findHoldings(own, { unit, databases, except: lockedNames }, signal))];
  for (const file of files) {
    const read = await readPipelineFile(file, invocation);
    const tenant = { unit, databases, except: read.name === own.name ? lockedNames : new Set<string>() };
    found.push(...(await usePipeline(read, invocation, (other) => findHoldings(other, tenant, signal))));
  }
  return found;
}

async function mustBeWritable(folder: string): Promise<void> {
  try {
    await access(folder, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new PgsiloError('usage.invalid', `no receipt can be written to ${JSON.stringify(folder)}`, {
      cause,
      hint: 'Name a folder that is there: --receipt FOLDER. Nothing was destroyed.',
    });
  }
}

async function keepReceipt(receipt: Receipt, folder: string, unit: string, at: Date): Promise<ReceiptFiles> {
  try {
    return await writeReceipt(receipt, folder, unit, at);
  } catch (cause) {
    throw new PgsiloError(
      'internal',
      `the keys are destroyed, and the receipt was not written to ${folder}`,
      {
        cause,
        hint: 'Run the command again: it destroys nothing more, and writes the receipt.',
      },
    );
  }
}

function documentOf(
  { name }: Pipeline,
  { unit, locked }: ErasurePlan,
  remaining: readonly Holding[],
): object {
  return {
    pipeline: name,
    unit,
    backups: locked,
    remaining: remaining.map(({ newest, until, ...rest }) => ({
      ...rest,
      newest: newest.toISOString(),
      until: until?.toISOString() ?? null,
    })),
  };
}

function remainingFact({ pipeline, sink, unit, backups, until }: Holding): {
  readonly what: string;
  readonly until?: string;
} {
  return {
    what: `${formatCount(backups, 'backup')} of ${unit} by pipeline ${pipeline} in sink ${sink}`,
    ...(until ? { until: until.toISOString() } : {}),
  };
}

function planText({ unit, locked }: ErasurePlan, remaining: readonly Holding[]): string {
  const sinks = [...new Set(locked.flatMap((backup) => backup.sinks))].map(printable).join(', ');
  const where = locked.length === 0 ? '' : `, in ${sinks} and wherever else copies of them are`;
  const rest = remaining.map(({ pipeline, sink, unit: other, backups, newest, until }) => {
    const end = until ? `until ${formatTime(until.toISOString())} by its retention` : 'without an end';
    const what = `${formatCount(backups, 'backup')} of ${printable(other)} by ${printable(pipeline)} in ${printable(sink)}`;
    return `  ${what}, the newest of ${formatTime(newest.toISOString())}: ${end}\n`;
  });
  const left = rest.length === 0 ? '' : `Still readable, and may hold ${printable(unit)}:\n${rest.join('')}`;
  return `Unreadable without the keys of ${printable(unit)}: ${formatCount(locked.length, 'backup')}${where}.\n${left}`;
}

function doneText({ unit, keys, folders }: Destruction, { text, signature }: ReceiptFiles): string {
  return (
    `destroyed  ${formatCount(keys.length, 'key')} of ${printable(unit)}, in ${folders.map(printable).join(', ')}\n` +
    `receipt    ${printable(text)}\nsignature  ${printable(signature)}\n`
  );
}
