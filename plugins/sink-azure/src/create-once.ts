import { RestError } from '@azure/storage-blob';
import type { BlockBlobClient } from '@azure/storage-blob';
import { abortReason, throwIfAborted } from '@pgsilo/plugin';
import type { Context } from '@pgsilo/plugin';
import { statusOf, translate } from './errors.ts';

/** Milliseconds. An abort waits so long for a request that may have made an object already. */
const grace = 1_500;
const undoing = 2_500;

export function markOf(writer: string): Record<string, string> {
  return { pgsilowriter: writer };
}

/**
 * Sends the request that makes the object. Its answer may be lost: then the object is looked for, and known by its mark; so the SDK may repeat the request, and being refused by one's own
 * object is no failure. After an abort the object is removed again.
 */
export async function createOnce<T extends { versionId?: string }>(
  blob: BlockBlobClient,
  writer: string,
  doing: string,
  context: Context,
  request: (signal: AbortSignal) => Promise<T>,
): Promise<{ versionId?: string }> {
  throwIfAborted(context.signal);
  const late = lateAbort(context.signal);
  try {
    const answer = await request(late.signal);
    if (!context.signal.aborted) return answer;
  } catch (error) {
    if (!mayHaveWorked(error) || !(await isOurs(blob, writer))) {
      throwIfAborted(context.signal);
      throw translate(error, doing);
    }
    if (!context.signal.aborted) return {};
  } finally {
    late.clear();
  }
  await blob.deleteIfExists({ abortSignal: AbortSignal.timeout(undoing) }).catch(() => {});
  throw abortReason(context.signal);
}

/** Aborted a little after the other one, so that a request on its way is answered rather than guessed at. */
function lateAbort(signal: AbortSignal): { readonly signal: AbortSignal; clear(): void } {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const begin = () => {
    timer = setTimeout(() => controller.abort(), grace);
  };
  signal.addEventListener('abort', begin, { once: true });
  return {
    signal: controller.signal,
    clear() {
      signal.removeEventListener('abort', begin);
      clearTimeout(timer);
    },
  };
}

/** No answer, a late one, or one that speaks of an object that is there. */
function mayHaveWorked(error: unknown): boolean {
  if (!(error instanceof RestError)) return error instanceof Error && error.name === 'AbortError';
  const status = statusOf(error);
  return status === undefined || status >= 500 || status === 409 || status === 412;
}

async function isOurs(blob: BlockBlobClient, writer: string): Promise<boolean> {
  try {
    const { metadata } = await blob.getProperties({ abortSignal: AbortSignal.timeout(undoing) });
    return metadata?.['pgsilowriter'] === writer;
  } catch {
    return false;
  }
}
