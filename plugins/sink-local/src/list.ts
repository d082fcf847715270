import { lstat, readdir } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import { join } from 'node:path';
import { throwIfAborted } from '@pgsilo/plugin';
import type { Context, ObjectInfo } from '@pgsilo/plugin';
import { translate } from './errors.ts';
import { isAbsent, isSegment } from './tree.ts';
import type { Tree } from './tree.ts';

/** Folders are read whole and some at once: four times as fast as entry by entry. What a listing holds is the names in these, and the folders still to be read. */
const foldersAtOnce = 16;
const filesAtOnce = 128;

interface Folder {
  /** What keys below it begin with: empty, or ending in `/`. */
  readonly keys: string;
  /** What names in it must begin with. */
  readonly start: string;
}

export async function* listObjects(tree: Tree, prefix: string, context: Context): AsyncGenerator<ObjectInfo> {
  throwIfAborted(context.signal);
  const cut = prefix.lastIndexOf('/') + 1;
  const keys = prefix.slice(0, cut);
  if (keys !== '' && !keys.slice(0, -1).split('/').every(isSegment)) return;
  if (!(await tree.hasRoot()) || !(await isInside(tree, keys))) return;
  const pending: Folder[] = [{ keys, start: prefix.slice(cut) }];
  while (pending.length > 0) {
    throwIfAborted(context.signal);
    const files: string[] = [];
    const read = pending.splice(-foldersAtOnce).map((folder) => readFolder(tree, folder));
    for (const { folders, objects } of await Promise.all(read)) {
      for (const folder of folders) pending.push(folder);
      for (const key of objects) files.push(key);
    }
    for (let at = 0; at < files.length; at += filesAtOnce) {
      throwIfAborted(context.signal);
      const some = files.slice(at, at + filesAtOnce).map((key) => lookAt(tree, key));
      for (const found of await Promise.all(some)) if (found) yield found;
    }
  }
}

/** Links are not followed further down: a folder's entry says what it is. */
async function isInside(tree: Tree, keys: string): Promise<boolean> {
  if (keys === '') return true;
  const path = join(tree.root, keys);
  try {
    await tree.mustBeInside(path.slice(0, -1));
    return true;
  } catch (error) {
    if (error instanceof Error && isAbsent(error.cause)) return false;
    throw translate(error, `list ${path}`);
  }
}

/** A folder that is not there, or no longer, has no objects. */
async function readFolder(
  tree: Tree,
  { keys, start }: Folder,
): Promise<{ readonly folders: readonly Folder[]; readonly objects: readonly string[] }> {
  const path = join(tree.root, keys);
  const folders: Folder[] = [];
  const objects: string[] = [];
  try {
    for (const entry of await readdir(path, { withFileTypes: true })) {
      if (!entry.name.startsWith(start) || !isSegment(entry.name)) continue;
      if (entry.isDirectory()) folders.push({ keys: `${keys}${entry.name}/`, start: '' });
      else if (entry.isFile()) objects.push(keys + entry.name);
    }
  } catch (error) {
    if (!isAbsent(error)) throw translate(error, `list ${path}`);
  }
  return { folders, objects };
}

async function lookAt(tree: Tree, key: string): Promise<ObjectInfo | undefined> {
  let found: Stats;
  try {
    found = await lstat(join(tree.root, key));
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw translate(error, `look at ${key}`);
  }
  return found.isFile() ? { key, bytes: found.size, modified: found.mtime } : undefined;
}
