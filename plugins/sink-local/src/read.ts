import * as fs from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { PgsiloError, throwIfAborted } from '@pgsilo/plugin';
import type { Body, ByteRange, Context } from '@pgsilo/plugin';
import { attempt, codeOf, translate } from './errors.ts';
import { isAbsent, notFound, notPlain } from './tree.ts';
import type { Tree } from './tree.ts';

const largestRead = 256 * 1024;
// Numbers, not FileHandles: of a hundred thousand manifests those cost half of the time.
const open = promisify(fs.open);
const stat = promisify(fs.fstat);
const read = promisify(fs.read);
const close = promisify(fs.close);

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
    const size = await sizeOfPlain(tree, file, path, key);
    let at = range?.offset ?? 0;
    const end = range === undefined ? size : range.offset + range.length;
    if (end > size) throw tooShort(path, `it has ${size} bytes, and bytes ${at} to ${end} were asked for`);
    while (at < end) {
      throwIfAborted(context.signal);
      const buffer = Buffer.allocUnsafeSlow(Math.max(1, Math.min(largestRead, context.memory, end - at)));
      const { bytesRead } = await attempt(`read ${path}`, read(file, buffer, 0, buffer.length, at));
      if (bytesRead === 0) throw tooShort(path, `it ended at byte ${at} of ${end}`);
      at += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await close(file);
  }
}

async function openPlain(tree: Tree, path: string, key: string): Promise<number> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
  try {
    return await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    if (isAbsent(error)) {
      await tree.hasRoot();
      throw notFound(key);
    }
    if (codeOf(error) === 'ELOOP') throw notPlain(path, 'file');
    throw translate(error, `open ${path}`);
  }
}

async function sizeOfPlain(tree: Tree, file: number, path: string, key: string): Promise<number> {
  const found = await attempt(`look at ${path}`, stat(file));
  if (found.isDirectory()) throw notFound(key);
  if (!found.isFile()) throw notPlain(path, 'file');
  await tree.mustBeInside(dirname(path));
  return found.size;
}

function tooShort(path: string, what: string): PgsiloError {
  return new PgsiloError('sink.corrupt', `${path} is shorter than it must be: ${what}`, {
    hint: 'Use the copy in another sink, or another backup.',
  });
}
