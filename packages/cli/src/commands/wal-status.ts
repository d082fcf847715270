import { walStatus } from '@pgsilo/engine';
import type { Invocation } from '../invocation.ts';
import { withPipeline } from '../open-pipeline.ts';
import { walStatusDocument, walStatusText } from '../wal-status-report.ts';

/** `pgsilo wal status`. Exits 1 when a kept base backup lacks log that lies in no sink, when archiving fails, or when a sink cannot be looked at. */
export function status(invocation: Invocation, file: string): Promise<number> {
  return withPipeline(file, invocation, async (pipeline) => {
    const found = await walStatus(pipeline, invocation.signal);
    if (invocation.json) await invocation.out.json(walStatusDocument(pipeline.name, found));
    else await invocation.out.write(walStatusText(found, invocation));
    return found.status === 'ok' ? 0 : 1;
  });
}
