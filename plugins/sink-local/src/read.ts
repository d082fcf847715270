import { constants, open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { PgsiloError, throwIfAborted } from '@pgsilo/plugin';
import type { Body, ByteRange, Context } from '@pgsilo/plugin';
import { attempt, codeOf, translate } from './errors.ts';
import { isAbsent, notFound, notPlain } from './tree.ts';
import type { Tree } from './tree.ts';

const largestRead = 256 * 1024;

export async function* readObject(
  tree: Tree,
  key: string,
  range: ByteRange | undefined,
  context: Context,
): Body {
  throwIfAborted(context.signal);
  const path = tree.path(key);
  const file = await openPlain(tree, path, key);
  try {
    const { size } = await attempt(`look at ${path}`, file.stat());
    let at = range?.offset ?? 0;
    const end = range === undefined ? size : range.offset + range.length;
    if (end > size) throw tooShort(path, `it has ${size} bytes, and bytes ${at} to ${end} were asked for`);
    while (at < end) {
      throwIfAborted(context.signal);
      const buffer = Buffer.allocUnsafeSlow(Math.max(1, Math.min(largestRead, context.memory, end - at)));
      const { bytesRead } = await attempt(`read ${path}`, file.read(buffer, 0, buffer.length, at));
      if (bytesRead === 0) throw tooShort(path, `it ended at byte ${at} of ${end}`);
      at += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

async function openPlain(tree: Tree, path: string, key: string): Promise<FileHandle> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (isAbsent(error)) {
      await tree.hasRoot();
      throw notFound(key);
    }
    if (codeOf(error) === 'ELOOP') throw notPlain(path, 'file');
    throw translate(error, `open ${path}`);
  }
  try {
    const found = await attempt(`look at ${path}`, file.stat());
    if (found.isDirectory()) throw notFound(key);
    if (!found.isFile()) throw notPlain(path, 'file');
    await tree.mustBeInside(dirname(path));
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

function tooShort(path: string, what: string): PgsiloError {
  return new PgsiloError('sink.corrupt', `${path} is shorter than it must be: ${what}`, {
    hint: 'Use the copy in another sink, or another backup.',
  });
}
