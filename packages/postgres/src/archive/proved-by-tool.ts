import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { PgsiloError, isPgsiloError, type Body } from '@pgsilo/plugin';
import { runTool } from '../child.ts';
import type { Tool } from '../tools.ts';

export interface ProofByTool {
  /** A pg_restore of the pg_dump's own version. */
  readonly tool: Tool;
  readonly signal: AbortSignal;
  readonly onStderr: (line: string) => void;
}

/**
 * The same bytes, which end only when pg_restore has read a copy of them to the last row and made SQL of all: for archives that nobody else understands. Its table of contents alone
 * would prove nothing, because that comes first. Throws `source.archive-invalid` when pg_restore fails.
 */
export async function* provedByTool(
  archive: Body,
  { tool, signal, onStderr }: ProofByTool,
): AsyncGenerator<Uint8Array> {
  const copy = new PassThrough({ highWaterMark: 1024 * 1024 });
  let over = false;
  const reading = runTool(tool, ['--file=/dev/null'], {
    doing: `${tool.name} over the archive`,
    signal,
    onStderr,
    input: copy,
  })
    .catch((error: unknown) => {
      if (!isPgsiloError(error) || error.code === 'aborted') throw error;
      throw new PgsiloError('source.archive-invalid', `archive is not valid: ${error.message}`, {
        cause: error,
      });
    })
    .finally(() => {
      over = true;
      copy.resume();
    });
  reading.catch(() => undefined);
  try {
    for await (const chunk of archive) {
      // It may have read all that it wants before the last bytes.
      if (!over && !copy.write(Buffer.from(chunk)))
        await Promise.race([once(copy, 'drain', { signal }), reading]);
      yield chunk;
    }
    copy.end();
    await reading;
  } finally {
    copy.destroy();
    await reading.catch(() => undefined);
  }
}
