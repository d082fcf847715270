import { access, constants } from 'node:fs/promises';
import { hostname, userInfo } from 'node:os';
import { resolve } from 'node:path';
import { findHoldings, noteErasure, planErasure, unitKeysOf } from '@pgsilo/engine';
import type { ErasurePlan, Holding, LockedBackup, Pipeline } from '@pgsilo/engine';
import { nothingDestroyed, PgsiloError } from '@pgsilo/plugin';
import type { Destruction, Receipt, UnitKeys } from '@pgsilo/plugin';
import { confirmDestroying } from '../confirm.ts';
import type { Invocation } from '../invocation.ts';
import { withPipeline } from '../open-pipeline.ts';
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

/** What would be done, in each of the pipelines that are looked at; the first of them has the keys. */
interface Plan {
  readonly unit: string;
  readonly of: readonly { readonly pipeline: Pipeline; readonly erasure: ErasurePlan }[];
  readonly locked: readonly LockedBackup[];
  readonly remaining: readonly Holding[];
}

/** `pgsilo keys destroy`. Everything that can fail is looked at before anything is destroyed. */
export async function destroyKeys(
  invocation: Invocation,
  file: string,
  unit: string,
  options: DestroyOptions,
): Promise<number> {
  const { json, out, signal, quiet } = invocation;
  const also = (options.also ?? []).filter((each) => resolve(each) !== resolve(file));
  return withPipelines([file, ...also], invocation, async (pipelines) => {
    const own = pipelines[0]!;
    const folder = resolve(options.receipt ?? '.');
    const { keys, plan, by } = await prepare(invocation, pipelines, unit, options).catch((error: unknown) => {
      throw options.dryRun ? error : nothingDestroyed(error);
    });
    if (options.dryRun) {
      if (json) await out.json({ ...documentOf(own, plan), dryRun: true });
      return 0;
    }
    const order = { by, at: own.clock.now() };
    const destruction = await keys.destroy(unit, order);
    const facts = {
      at: order.at,
      pipelines: namesOf(plan),
      backups: plan.locked,
      remaining: plan.remaining.map(remainingFact),
    };
    const files = await keepReceipt(() => keys.receipt(destruction, facts), folder, unit, order.at);
    for (const { pipeline, erasure } of plan.of)
      for (const warning of await noteErasure(pipeline, erasure, firstOf(destruction), signal))
        invocation.log.warn(warning);
    if (json) {
      const { folders, keys: destroyed } = destruction;
      const done = { keys: destroyed, folders, receipt: files };
      await out.json({ ...documentOf(own, plan), dryRun: false, ...done });
    } else if (!quiet) await out.write(doneText(destruction, files));
    return 0;
  });
}

/** Makes the plugins of several pipeline files, and closes all of them when `work` has ended. */
async function withPipelines(
  [file, ...others]: readonly string[],
  invocation: Invocation,
  work: (pipelines: readonly Pipeline[]) => Promise<number>,
): Promise<number> {
  if (file === undefined) return work([]);
  return withPipeline(file, invocation, (pipeline) =>
    withPipelines(others, invocation, (rest) => work([pipeline, ...rest])),
  );
}

/** All that comes before the destruction: looks, shows and asks. */
async function prepare(
  invocation: Invocation,
  pipelines: readonly Pipeline[],
  unit: string,
  { by, receipt, dryRun, yes }: DestroyOptions,
): Promise<{ readonly keys: UnitKeys; readonly plan: Plan; readonly by: string }> {
  const { signal, json, quiet, out } = invocation;
  const keys = await unitKeysOf(pipelines[0]!);
  const plan = await planAll(pipelines, keys, unit, signal);
  if (!dryRun) await mustBeWritable(resolve(receipt ?? '.'));
  if (!json && (dryRun || !quiet)) await out.write(planText(plan));
  if (!dryRun && !yes) await confirmDestroying(unit, formatCount(plan.locked.length, 'backup'), invocation);
  return { keys, plan, by: by ?? `${userInfo().username}@${hostname()}` };
}

async function planAll(
  pipelines: readonly Pipeline[],
  keys: UnitKeys,
  unit: string,
  signal: AbortSignal,
): Promise<Plan> {
  const of: { readonly pipeline: Pipeline; readonly erasure: ErasurePlan }[] = [];
  for (const pipeline of pipelines)
    of.push({ pipeline, erasure: await planErasure(pipeline, keys, unit, signal) });
  const databases = [...new Set(of.flatMap(({ erasure }) => erasure.databases))];
  const remaining: Holding[] = [];
  for (const { pipeline, erasure } of of) {
    const tenant = { unit, databases, except: erasure.lockedNames };
    remaining.push(...(await findHoldings(pipeline, tenant, signal)));
  }
  return { unit, of, locked: of.flatMap(({ erasure }) => erasure.locked), remaining };
}

function namesOf({ of }: Plan): readonly string[] {
  return [...new Set(of.map(({ pipeline }) => pipeline.name))];
}

/** The date and name of a destruction that was interrupted once stay those of the first call. */
function firstOf({ keys }: Destruction): { readonly by: string; readonly at: Date } {
  const [first] = keys.toSorted((a, b) => (a.destroyedAt < b.destroyedAt ? -1 : 1));
  return { by: first!.destroyedBy, at: new Date(first!.destroyedAt) };
}

async function mustBeWritable(folder: string): Promise<void> {
  try {
    await access(folder, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new PgsiloError('usage.invalid', `no receipt can be written to ${JSON.stringify(folder)}`, {
      cause,
      hint: 'Name a folder that is there: --receipt FOLDER.',
    });
  }
}

async function keepReceipt(
  sign: () => Promise<Receipt>,
  folder: string,
  unit: string,
  at: Date,
): Promise<ReceiptFiles> {
  try {
    return await writeReceipt(await sign(), folder, unit, at);
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

function documentOf({ name }: Pipeline, plan: Plan): object {
  const { unit, locked, remaining } = plan;
  return {
    pipeline: name,
    unit,
    pipelines: namesOf(plan),
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

function planText({ unit, of, locked, remaining }: Plan): string {
  const gone = of
    .filter(({ erasure }) => erasure.locked.length > 0)
    .map(({ pipeline, erasure }) => {
      const sinks = [...new Set(erasure.locked.flatMap((backup) => backup.sinks))].map(printable).join(', ');
      return `  ${formatCount(erasure.locked.length, 'backup')} by ${printable(pipeline.name)}, in ${sinks}\n`;
    });
  const where = gone.length === 0 ? '.\n' : `, wherever copies of them are:\n${gone.join('')}`;
  const rest = remaining.map(({ pipeline, sink, unit: other, backups, newest, until }) => {
    const end = until ? `until ${formatTime(until.toISOString())} by its retention` : 'without an end';
    const what = `${formatCount(backups, 'backup')} of ${printable(other)} by ${printable(pipeline)} in ${printable(sink)}`;
    return `  ${what}, the newest of ${formatTime(newest.toISOString())}: ${end}\n`;
  });
  const left = rest.length === 0 ? '' : `Still readable, and may hold ${printable(unit)}:\n${rest.join('')}`;
  return `Unreadable without the keys of ${printable(unit)}: ${formatCount(locked.length, 'backup')}${where}${left}`;
}

function doneText({ unit, keys, folders }: Destruction, { text, signature }: ReceiptFiles): string {
  return (
    `destroyed  ${formatCount(keys.length, 'key')} of ${printable(unit)}, in ${folders.map(printable).join(', ')}\n` +
    `receipt    ${printable(text)}\nsignature  ${printable(signature)}\n`
  );
}
