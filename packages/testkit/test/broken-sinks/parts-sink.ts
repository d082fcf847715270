import { randomBytes } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { PgsiloError, takeIn, throwIfAborted } from '@pgsilo/plugin';
import type { Body, Sink } from '@pgsilo/plugin';
import type { MemorySink } from '../../src/index.ts';
import { fakeLargeBytes, store } from './fake.ts';

/** Bodies of no more are one request. */
export const partBytes: number = fakeLargeBytes / 16;

/** What a sink with parts may get wrong, each only where there are parts. */
export interface PartsFlaws {
  /** The request that makes an object of parts replaces one that is there. */
  readonly overwrites?: true;
  /** Writers of one key call their parts the same. */
  readonly sharedIds?: true;
  /** It does not wait for parts on their way. */
  readonly unbounded?: true;
  /** What of a chunk reaches into the next part is lost. */
  readonly losesOverlap?: true;
  /** A first part is listed as an object while others come. */
  readonly shows?: true;
  /** Parts that have arrived become an object when the body throws, or at an abort. */
  readonly keeps?: 'at a throw' | 'at an abort';
  /** Parts that were left stand in the way of an object of one request, or of parts. */
  readonly blocks?: 'one request' | 'parts';
  /** A sweep drops parts of the living. */
  readonly swept?: true;
}

/** A store with parts, after Azure's: unfinished parts of a key lie in one place, and are dropped when any object of that key is made. */
export function partsSink(inner: MemorySink, flaws: PartsFlaws = {}): Sink {
  const unfinished = new Map<string, Map<string, Buffer>>();
  const shown = new Set<string>();
  const hide = (key: string): unknown => shown.delete(key) && inner.objects.delete(key);
  const exists = new PgsiloError('sink.exists', 'there is an object already');

  async function stage(key: string, id: string, part: Buffer): Promise<void> {
    await nextTurn();
    if (!unfinished.has(key)) unfinished.set(key, new Map());
    unfinished.get(key)!.set(id, part);
    if (!flaws.shows || inner.objects.has(key)) return;
    shown.add(key);
    store(inner, key, part);
  }

  async function make(key: string, content: () => readonly Buffer[], replaces: boolean): Promise<number> {
    await nextTurn();
    if (inner.objects.has(key) && !replaces) throw exists;
    const bytes = Buffer.concat(content());
    store(inner, key, bytes);
    unfinished.delete(key);
    return bytes.length;
  }

  return {
    ...inner,
    async put(key, body, _hint, context) {
      throwIfAborted(context.signal);
      const taken = takeIn(body, context.signal);
      const parts = cut(taken.body, flaws);
      const writer = flaws.sharedIds ? '' : randomBytes(6).toString('hex');
      const ids: string[] = [];
      const sending = new Set<Promise<void>>();
      let held = 0;
      const arrived = (): Buffer[] =>
        ids.map((id) => {
          const part = unfinished.get(key)?.get(id);
          if (part === undefined) throw exists;
          return part;
        });
      const left = unfinished.has(key);
      try {
        const first = await parts.next();
        const second = first.done ? first : await parts.next();
        throwIfAborted(context.signal);
        if (second.done) {
          if (left && flaws.blocks === 'one request') throw exists;
          return { bytes: await make(key, () => (first.done ? [] : [first.value]), false) };
        }
        if (left && flaws.blocks === 'parts') throw exists;
        for (let part = first; !part.done; part = ids.length === 1 ? second : await parts.next()) {
          const { length } = part.value;
          const id = `${writer}-${ids.length}`;
          ids.push(id);
          held += length;
          const sent = stage(key, id, part.value).then(() => {
            held -= length;
            sending.delete(sent);
          });
          sending.add(sent);
          while (!flaws.unbounded && sending.size > 0 && held + partBytes > context.memory)
            await Promise.race(sending);
        }
        await Promise.all(sending);
        throwIfAborted(context.signal);
        hide(key);
        return { bytes: await make(key, arrived, flaws.overwrites ?? false) };
      } catch (error) {
        await Promise.all(sending);
        hide(key);
        const end = context.signal.aborted ? 'at an abort' : 'at a throw';
        if (flaws.keeps === end && error !== exists && ids.length > 0) await make(key, arrived, false);
        taken.rethrow();
        throw error;
      }
    },
    async sweep() {
      const found = unfinished.size;
      if (flaws.swept) unfinished.clear();
      return flaws.swept ? found : 0;
    },
  };
}

async function* cut(body: Body, { losesOverlap }: PartsFlaws): AsyncGenerator<Buffer, void, undefined> {
  let pieces: Uint8Array[] = [];
  let room = partBytes;
  for await (const chunk of body) {
    for (let rest = chunk; rest.length > 0;) {
      const piece = rest.subarray(0, room);
      pieces.push(piece);
      room -= piece.length;
      rest = rest.subarray(piece.length);
      if (room > 0) break;
      yield Buffer.concat(pieces);
      pieces = [];
      room = partBytes;
      // A chunk of several parts would be cut where other checks look, too.
      if (losesOverlap && chunk.length < 2 * partBytes) break;
    }
  }
  if (pieces.length > 0) yield Buffer.concat(pieces);
}
