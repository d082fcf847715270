import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { throwIfAborted } from '@pgsilo/plugin';

/** Files that are flushed at once: the disk orders them. */
const atOnce = 8;

/** Makes files, and the folders that they are in, survive a power cut. @param paths as bytes, absolute. */
export async function flush(paths: Iterable<Buffer>, signal: AbortSignal): Promise<void> {
  const folders = new Set<string>();
  const iterator = paths[Symbol.iterator]();
  const work = async (): Promise<void> => {
    for (let next = iterator.next(); !next.done; next = iterator.next()) {
      throwIfAborted(signal);
      folders.add(dirname(next.value.toString('latin1')));
      await flushOne(next.value);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  for (const folder of folders) await flushOne(Buffer.from(folder, 'latin1'));
}

/** Makes a file, or what is in a folder, durable. */
export async function flushOne(path: Buffer | string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
