import { resolve } from 'node:path';
import { fetchWal, pushWal } from '@pgsilo/engine';
import type { WalPushed } from '@pgsilo/engine';
import { toPgsiloError } from '@pgsilo/plugin';
import { errorDocument } from '../error-text.ts';
import type { Invocation } from '../invocation.ts';
import { withPipeline } from '../open-pipeline.ts';
import { reportError } from '../perform.ts';
import { formatCount } from '../terminal/format.ts';
import { printable } from '../terminal/printable.ts';
import { placeOf } from '../wal-command.ts';

/** `pgsilo wal push`: exits with 0 only when every required sink has the file durably. */
export function push(invocation: Invocation, file: string, path: string): Promise<number> {
  return withPipeline(file, invocation, async (pipeline) => {
    const others: object[] = [];
    const warn = ({ name, sinks }: WalPushed): void => {
      for (const { sink, error } of sinks)
        if (error) invocation.log.warn(`${name} is not in sink ${sink}: ${error.message}`);
    };
    const pushed = await pushWal(pipeline, path, {
      signal: invocation.signal,
      place: placeOf(resolve(file)),
      onOther: (other) => {
        if ('error' in other) {
          const { name, error } = other;
          // At once: the server may not ask for this one before an earlier one is archived.
          invocation.log.error(`${name} waits and is not archived: ${error.message}`, { code: error.code });
          others.push({ name, error: errorDocument(error) });
        } else {
          warn(other);
          others.push({ name: other.name, sinks: other.sinks });
        }
      },
    });
    warn(pushed);
    if (invocation.json) await invocation.out.json({ ...pushed, ...(others.length > 0 ? { others } : {}) });
    else if (!invocation.quiet) {
      const where = pushed.sinks.map(({ sink, status }) => `${printable(sink)}: ${status}`).join(', ');
      const more = others.length > 0 ? `, and ${formatCount(others.length, 'other')} that waited` : '';
      await invocation.out.write(`${printable(pushed.name)}  ${where}${more}\n`);
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
