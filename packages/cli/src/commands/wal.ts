import { fetchWal, pushWal } from '@pgsilo/engine';
import { toPgsiloError } from '@pgsilo/plugin';
import type { Invocation } from '../invocation.ts';
import { withPipeline } from '../open-pipeline.ts';
import { reportError } from '../perform.ts';
import { printable } from '../terminal/printable.ts';

/** `pgsilo wal push`: exits with 0 only when every required sink has the file durably. */
export function push(invocation: Invocation, file: string, path: string): Promise<number> {
  return withPipeline(file, invocation, async (pipeline) => {
    const pushed = await pushWal(pipeline, path, invocation.signal);
    for (const { sink, error } of pushed.sinks)
      if (error) invocation.log.warn(`${pushed.name} is not in sink ${sink}: ${error.message}`);
    if (invocation.json) await invocation.out.json(pushed);
    else if (!invocation.quiet) {
      const where = pushed.sinks.map(({ sink, status }) => `${printable(sink)}: ${status}`).join(', ');
      await invocation.out.write(`${printable(pushed.name)}  ${where}\n`);
    }
    // PostgreSQL must not hand it out again because of a sink that is not required.
    return 0;
  });
}

/** What PostgreSQL takes for "there is no such file": it ends recovery then, and without an error. So nothing else may ever exit with it. */
const neverArchived = 44;
/** What makes PostgreSQL stop recovery rather than end it: any status above 125. */
const trouble = 126;

/** `pgsilo wal fetch`. Its exit statuses are PostgreSQL's to read: see docs/wal.md. */
export async function fetch(
  invocation: Invocation,
  { file, name, path }: { readonly file: string; readonly name: string; readonly path: string },
): Promise<number> {
  try {
    const found = await withPipeline(file, invocation, (pipeline) =>
      fetchWal(pipeline, name, path, invocation.signal),
    );
    if (invocation.json) await invocation.out.json({ name, found });
    return found ? 0 : neverArchived;
  } catch (thrown) {
    await reportError(toPgsiloError(thrown), invocation);
    return trouble;
  }
}
