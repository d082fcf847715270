import { open, rm } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { PgsiloError } from '@pgsilo/plugin';
import type { Body } from '@pgsilo/plugin';
import type { PartPlan } from './part-plan.ts';

/** Bytes. Up to this size small bodies take no memory but their own. */
const small = 256 * 1024;

/** A piece of a body in memory. */
export interface HeldPart {
  readonly bytes: Buffer;
  readonly size: number;
}

/** A piece of a body in a file. */
export interface SpooledPart {
  readonly file: string;
  readonly crc: number;
  readonly size: number;
  /** Removes the file, if it is there. */
  drop(): Promise<void>;
}

export type Part = HeldPart | SpooledPart;

/**
 * Cuts a body as planned; only the last part may be shorter, and none is empty but the only one of an empty body.
 * Which part is the last is known from one chunk that is read ahead.
 * @param newFile the path of a new file for a part of at most so many bytes.
 */
export async function* cutParts(
  body: Body,
  plan: PartPlan,
  newFile: (bytes: number) => Promise<string>,
): AsyncGenerator<{ readonly part: Part; readonly last: boolean }> {
  const input = new Input(body);
  try {
    for (let index = 0; ; index += 1) {
      const size = plan.sizeOf(index);
      const part = size <= plan.largestHeld ? await hold(input, size) : await spool(input, size, newFile);
      const last = !(await input.more());
      yield { part, last };
      if (last) return;
    }
  } finally {
    await input.close();
  }
}

async function hold(input: Input, size: number): Promise<HeldPart> {
  let bytes = Buffer.allocUnsafeSlow(Math.min(size, small));
  let filled = 0;
  for (;;) {
    if (filled === bytes.length && filled < size) {
      const larger = Buffer.allocUnsafeSlow(size);
      bytes.copy(larger);
      bytes = larger;
    }
    const some = filled < size ? await input.next(bytes.length - filled) : undefined;
    if (some === undefined) return { bytes: bytes.subarray(0, filled), size: filled };
    bytes.set(some, filled);
    filled += some.length;
  }
}

async function spool(
  input: Input,
  size: number,
  newFile: (bytes: number) => Promise<string>,
): Promise<SpooledPart> {
  const file = await newFile(size);
  const drop = (): Promise<void> => rm(file, { force: true });
  let crc = 0;
  let filled = 0;
  try {
    await using handle = await inScratch(file, open(file, 'wx', 0o600));
    while (filled < size) {
      const some = await input.next(size - filled);
      if (some === undefined) break;
      await inScratch(file, handle.writeFile(some));
      crc = crc32(some, crc);
      filled += some.length;
    }
  } catch (error) {
    await drop();
    throw error;
  }
  return { file, crc, size: filled, drop };
}

async function inScratch<T>(file: string, step: Promise<T>): Promise<T> {
  try {
    return await step;
  } catch (cause) {
    throw new PgsiloError('scratch.full', `${file} cannot be written: ${(cause as Error).message}`, {
      cause,
      hint: 'Set `scratch:` to a larger disk.',
    });
  }
}

/** A body, chunk by chunk, of which a part can be taken. */
class Input {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array();
  #ended = false;

  constructor(body: Body) {
    this.#chunks = body[Symbol.asyncIterator]();
  }

  /** Whether there is a byte left; waits until that is known. */
  async more(): Promise<boolean> {
    while (this.#rest.length === 0) {
      if (this.#ended) return false;
      // Stays so when it throws: it has closed itself then.
      this.#ended = true;
      const next = await this.#chunks.next();
      if (next.done) return false;
      this.#ended = false;
      this.#rest = next.value;
    }
    return true;
  }

  /** One to `most` bytes, or undefined at the body's end. */
  async next(most: number): Promise<Uint8Array | undefined> {
    if (!(await this.more())) return undefined;
    const some = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(some.length);
    return some;
  }

  async close(): Promise<void> {
    if (!this.#ended) await this.#chunks.return?.();
    this.#ended = true;
  }
}
