import { abortReason, isPgsiloError, PgsiloError, throwIfAborted } from '@pgsilo/plugin';
import type { Context } from '@pgsilo/plugin';
import { inBase64 } from './crc32c.ts';
import { AnswerError, mayPass, saysNoObject, translate } from './errors.ts';
import { lateAbort } from './late-abort.ts';
import { endedBy } from './store.ts';
import type { Calling, Resource, Store } from './store.ts';

/** Metadata that names the writer of an object. */
const writerMark = 'pgsilowriter';
/** Milliseconds for a look at the store after an abort, and for a removal. */
const undoing = 1_000;

/** An object as its writer knows it. */
export interface Written {
  readonly name: string;
  readonly writer: string;
  readonly bytes: number;
  readonly crc: number;
}

/** Ours, or what there is instead. */
type Found = Resource | 'another' | 'nothing';

export function markOf(writer: string): Record<string, string> {
  return { [writerMark]: writer };
}

/**
 * Does the request that makes the object. Its answer may be lost, or be a refusal by the object that an earlier try has made: then the object is looked at, and known by its mark.
 * What the service says that it has stored must be what was sent. After an abort the object is removed again.
 */
export async function createOnce(
  store: Store,
  object: Written,
  doing: string,
  context: Context,
  request: (calling: Calling) => Promise<Resource>,
): Promise<Resource> {
  const { signal } = context;
  throwIfAborted(signal);
  const late = lateAbort(signal);
  let made: Resource;
  try {
    made = await request(endedBy(late.signal, context));
  } catch (error) {
    let found: Found = 'nothing';
    if (!signal.aborted && mayHaveWorked(error)) found = await lookAt(store, object, context);
    // Also when the abort came during that look.
    if (signal.aborted && found === 'nothing') found = await lookAt(store, object, hurried());
    if (found === 'nothing' || found === 'another') {
      throwIfAborted(signal);
      if (found === 'nothing' || (error instanceof AnswerError && error.status === 412))
        throw translate(error, doing);
      throw new PgsiloError('sink.exists', `cannot ${doing}: there is an object of that key already`, {
        cause: translate(error, doing).cause,
        hint: 'Objects are never overwritten.',
      });
    }
    made = found;
  } finally {
    late.clear();
  }
  const problem = difference(made, object);
  if (!problem && !signal.aborted) return made;
  const removed = await remove(store, made);
  throwIfAborted(signal);
  throw new PgsiloError('sink.failed', `cannot ${doing}: ${problem ?? abortReason(signal).message}`, {
    hint: `Bytes changed on their way; what was stored of them ${removed ? 'is removed' : 'is still there'}.`,
  });
}

/** No answer, a late one, one that cannot be read or speaks of an object that is there, or of a session that has become one. */
function mayHaveWorked(error: unknown): boolean {
  if (!(error instanceof AnswerError)) return !isPgsiloError(error);
  return mayPass(error) || [404, 409, 410, 412].includes(error.status);
}

function difference({ size, crc32c }: Resource, { bytes, crc }: Written): string | undefined {
  if (Number(size) !== bytes) return `${bytes} bytes were sent, and the service has ${size} bytes`;
  if (crc32c !== undefined && crc32c !== inBase64(crc))
    return `the CRC32C of what was sent is ${inBase64(crc)}, and that of what the service has ${crc32c}`;
  return undefined;
}

async function lookAt(store: Store, { name, writer }: Written, calling: Calling): Promise<Found> {
  try {
    const found = await store.ask<Resource>({ method: 'GET', path: store.path(name) }, calling);
    return found.metadata?.[writerMark] === writer ? found : 'another';
  } catch {
    return 'nothing';
  }
}

/** Whether it is gone: an object that is retained stays, and is garbage without a manifest. */
async function remove(store: Store, { name, generation }: Resource): Promise<boolean> {
  const call = { method: 'DELETE', path: store.path(name), query: { generation } } as const;
  return store.ask(call, hurried()).then(
    () => true,
    (error: unknown) => saysNoObject(error),
  );
}

/** On time of its own, and without pauses: it is used after aborts. */
function hurried(): Calling {
  return {
    signal: AbortSignal.timeout(undoing),
    clock: { now: () => new Date(), sleep: async () => {} },
    retried: () => {},
  };
}
