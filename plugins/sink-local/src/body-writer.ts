import type { FileHandle } from 'node:fs/promises';
import { untilAborted } from '@pgsilo/plugin';
import type { Body, Context } from '@pgsilo/plugin';
import { attempt } from './errors.ts';

const largestWrite = 1024 * 1024;
const mostPieces = 512;

/**
 * Writes a body to a file, the next piece being read while the last one is written. What the body throws comes out as it is.
 * @returns how many bytes there were.
 */
export async function writeBody(
  file: FileHandle,
  path: string,
  body: Body,
  context: Context,
): Promise<number> {
  const writer = new Writer(file, path, Math.max(1, Math.min(largestWrite, Math.floor(context.memory / 4))));
  try {
    // The writer's own error ends the body before it is told, an abort does not wait for it.
    for await (const chunk of untilAborted(body, context.signal)) await writer.add(chunk);
    await writer.flush();
  } finally {
    await writer.settled();
  }
  return writer.bytes;
}

class Writer {
  bytes = 0;
  readonly #file: FileHandle;
  readonly #path: string;
  readonly #limit: number;
  #pieces: Uint8Array[] = [];
  #gathered = 0;
  #writing: Promise<void> = Promise.resolve();

  constructor(file: FileHandle, path: string, limit: number) {
    this.#file = file;
    this.#path = path;
    this.#limit = limit;
  }

  async add(chunk: Uint8Array): Promise<void> {
    if (chunk.length === 0) return;
    this.#pieces.push(chunk);
    this.#gathered += chunk.length;
    this.bytes += chunk.length;
    if (this.#gathered < this.#limit && this.#pieces.length < mostPieces) return;
    await this.#writing;
    this.#begin();
  }

  async flush(): Promise<void> {
    await this.#writing;
    this.#begin();
    await this.#writing;
  }

  /** Nothing touches the file afterwards, whatever went wrong. */
  async settled(): Promise<void> {
    await this.#writing.catch(() => {});
  }

  #begin(): void {
    this.#writing = attempt(`write ${this.#path}`, writeAll(this.#file, this.#pieces));
    this.#writing.catch(() => {});
    this.#pieces = [];
    this.#gathered = 0;
  }
}

async function writeAll(file: FileHandle, pieces: readonly Uint8Array[]): Promise<void> {
  let rest = pieces;
  while (rest.length > 0) {
    let { bytesWritten } = await file.writev(rest);
    if (bytesWritten === 0) throw new Error('the file system took nothing');
    // A disk that is nearly full takes a part; the rest then says why.
    const left: Uint8Array[] = [];
    for (const piece of rest) {
      if (bytesWritten < piece.length) left.push(piece.subarray(bytesWritten));
      bytesWritten = Math.max(0, bytesWritten - piece.length);
    }
    rest = left;
  }
}
