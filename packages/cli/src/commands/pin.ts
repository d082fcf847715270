import { pinBackup, unpinBackup } from '@pgsilo/engine';
import { pinOf } from '../arguments.ts';
import type { Invocation } from '../invocation.ts';
import { withPipeline } from '../open-pipeline.ts';
import { formatTime } from '../terminal/format.ts';
import { printable } from '../terminal/printable.ts';

export interface PinOptions {
  readonly reason: string;
  readonly until?: string;
}

interface Named {
  readonly file: string;
  readonly unit: string;
  readonly backup: string;
}

/** `pgsilo pin`: holds a backup in every sink that has it. */
export async function pin(invocation: Invocation, named: Named, options: PinOptions): Promise<number> {
  const { file, unit, backup } = named;
  return withPipeline(file, invocation, async (pipeline, { timezone }) => {
    const request = pinOf(options.reason, options.until, timezone, invocation.now());
    const sinks = await pinBackup(pipeline, unit, backup, { ...request, signal: invocation.signal });
    const until = request.until?.toISOString();
    if (invocation.json) {
      const { reason } = request;
      await invocation.out.json({ unit, backup, pinned: true, reason, until: until ?? null, sinks });
    } else if (!invocation.quiet) {
      const end = until === undefined ? 'until `pgsilo unpin`' : `until ${formatTime(until)}`;
      await invocation.out.write(`pinned  ${printable(unit)}  ${backup}  ${end}, in ${names(sinks)}\n`);
    }
    return 0;
  });
}

/** `pgsilo unpin`. */
export async function unpin(invocation: Invocation, { file, unit, backup }: Named): Promise<number> {
  return withPipeline(file, invocation, async (pipeline) => {
    const sinks = await unpinBackup(pipeline, unit, backup, { signal: invocation.signal });
    if (invocation.json) await invocation.out.json({ unit, backup, pinned: false, sinks });
    else if (!invocation.quiet) {
      await invocation.out.write(`unpinned  ${printable(unit)}  ${backup}  in ${names(sinks)}\n`);
    }
    return 0;
  });
}

function names(sinks: readonly string[]): string {
  return sinks.map(printable).join(', ');
}
