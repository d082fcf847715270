import { abortReason, PgsiloError } from '@pgsilo/plugin';
import type { Body, Context, ObjectInfo, Sink } from '@pgsilo/plugin';

export type SinkMethod = 'put' | 'get' | 'stat' | 'list' | 'remove' | 'check';

/** Which calls go wrong, and how. */
export interface Fault {
  readonly on: SinkMethod;
  /** Which of the matching calls, from 1; all of them unless told. */
  readonly nth?: number;
  /** Only calls for a key, or a prefix to be listed, that fits. */
  readonly key?: RegExp;
  /**
   * `throw`: the call rejects with `error`. `stall`: it hangs until its signal is aborted.
   * `end`: a read or a listing ends as if that were all, against the contract. `alter`: one byte is flipped.
   */
  readonly does: 'throw' | 'stall' | 'end' | 'alter';
  /** For `throw`; a retryable `sink.unreachable` unless told. */
  readonly error?: Error;
  /** How much of the body (bytes) or of the listing (objects) passes first; none unless told. */
  readonly after?: number;
}

/** A sink that does as the one beneath it but for its faults. */
export interface FaultySink extends Sink {
  /** How often each method was called. */
  readonly calls: Readonly<Record<SinkMethod, number>>;
}

export function faultySink(sink: Sink, faults: readonly Fault[]): FaultySink {
  const calls: Record<SinkMethod, number> = { put: 0, get: 0, stat: 0, list: 0, remove: 0, check: 0 };
  const matches = new Map<Fault, number>();

  function faultOf(on: SinkMethod, key: string): Fault | undefined {
    calls[on] += 1;
    return faults.find((fault) => {
      if (fault.on !== on || (fault.key && !fault.key.test(key))) return false;
      const count = (matches.get(fault) ?? 0) + 1;
      matches.set(fault, count);
      return fault.nth === undefined || fault.nth === count;
    });
  }

  async function simple<T>(
    on: SinkMethod,
    key: string,
    context: Context,
    call: () => Promise<T>,
  ): Promise<T> {
    const fault = faultOf(on, key);
    if (fault) await strike(fault, context);
    return call();
  }

  return {
    calls,
    async put(key, body, hint, context) {
      const fault = faultOf('put', key);
      if (fault && fault.after === undefined && fault.does !== 'alter') await strike(fault, context);
      return sink.put(key, fault ? spoilt(body, fault, context) : body, hint, context);
    },
    get(key, range, context) {
      const fault = faultOf('get', key);
      const body = sink.get(key, range, context);
      return fault ? spoilt(body, fault, context) : body;
    },
    stat: (key, context) => simple('stat', key, context, () => sink.stat(key, context)),
    list(prefix, context) {
      const fault = faultOf('list', prefix);
      const found = sink.list(prefix, context);
      return fault ? spoiltList(found, fault, context) : found;
    },
    remove: (keys, context) => simple('remove', keys.join('\n'), context, () => sink.remove(keys, context)),
    async *check(context) {
      const fault = faultOf('check', '');
      if (fault) await strike(fault, context);
      yield* sink.check(context);
    },
    close: () => sink.close(),
    ...(sink.sweep ? { sweep: sink.sweep.bind(sink) } : {}),
  };
}

/** Returns only where a fault lets a call end early. */
async function strike(fault: Fault, context: Context): Promise<void> {
  if (fault.does === 'throw')
    throw fault.error ?? new PgsiloError('sink.unreachable', `a fault of the test on ${fault.on}`);
  if (fault.does !== 'stall') return;
  if (!context.signal.aborted) {
    await new Promise<void>((resolve) => {
      context.signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }
  throw abortReason(context.signal);
}

async function* spoilt(body: Body, fault: Fault, context: Context): Body {
  let left = fault.after ?? 0;
  let struck = false;
  for await (const chunk of body) {
    if (struck || chunk.length <= left) {
      left -= struck ? 0 : chunk.length;
      yield chunk;
      continue;
    }
    struck = true;
    if (fault.does === 'alter') {
      const altered = Buffer.from(chunk);
      altered[left] = (altered[left] ?? 0) ^ 1;
      yield altered;
      continue;
    }
    if (left > 0) yield chunk.subarray(0, left);
    await strike(fault, context);
    return;
  }
  if (!struck && fault.does !== 'alter') await strike(fault, context);
}

async function* spoiltList(
  found: AsyncIterable<ObjectInfo>,
  fault: Fault,
  context: Context,
): AsyncGenerator<ObjectInfo> {
  let left = fault.after ?? 0;
  for await (const one of found) {
    if (left === 0) {
      await strike(fault, context);
      return;
    }
    left -= 1;
    yield one;
  }
  await strike(fault, context);
}
