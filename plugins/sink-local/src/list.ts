import { lstat, opendir } from 'node:fs/promises';
import type { Dir, Dirent, Stats } from 'node:fs';
import { throwIfAborted } from '@pgsilo/plugin';
import type { Context, ObjectInfo } from '@pgsilo/plugin';
import { attempt, translate } from './errors.ts';
import { isAbsent, isSegment } from './tree.ts';
import type { Tree } from './tree.ts';
import { join } from 'node:path';

/** How many entries are looked at together; with the folders open on the way down, all that a listing holds. */
const batch = 128;

interface Level {
  readonly folder: Dir;
  /** What keys below it begin with: empty, or ending in `/`. */
  readonly keys: string;
  /** What names in it must begin with. */
  readonly start: string;
  /** Folders found and not yet gone into. */
  readonly below: string[];
}

export async function* listObjects(tree: Tree, prefix: string, context: Context): AsyncGenerator<ObjectInfo> {
  throwIfAborted(context.signal);
  const cut = prefix.lastIndexOf('/') + 1;
  const keys = prefix.slice(0, cut);
  if (keys !== '' && !keys.slice(0, -1).split('/').every(isSegment)) return;
  if (!(await tree.hasRoot())) return;
  const levels: Level[] = [];
  try {
    await descend(tree, keys, prefix.slice(cut), levels);
    for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
      throwIfAborted(context.signal);
      const next = level.below.pop();
      if (next !== undefined) {
        await descend(tree, `${level.keys}${next}/`, '', levels);
        continue;
      }
      const entries = await readEntries(level);
      if (entries.length === 0) {
        levels.pop();
        await level.folder.close();
        continue;
      }
      level.below.push(...entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name));
      const files = entries.filter((entry) => entry.isFile()).map((entry) => level.keys + entry.name);
      for (const found of await Promise.all(files.map((key) => lookAt(tree, key)))) {
        if (found) yield found;
      }
    }
  } finally {
    for (const level of levels) await level.folder.close();
  }
}

/** A folder that is not there, or no longer, has no objects. */
async function descend(tree: Tree, keys: string, start: string, levels: Level[]): Promise<void> {
  const path = join(tree.root, keys);
  try {
    if (keys !== '') await tree.mustBeInside(path.slice(0, -1));
    levels.push({ folder: await opendir(path, { bufferSize: batch }), keys, start, below: [] });
  } catch (error) {
    if (!isAbsent(error) && !(error instanceof Error && isAbsent(error.cause)))
      throw translate(error, `list ${path}`);
  }
}

async function readEntries(level: Level): Promise<Dirent[]> {
  const entries: Dirent[] = [];
  while (entries.length < batch) {
    const entry = await attempt(`list ${level.folder.path}`, level.folder.read());
    if (entry === null) break;
    if (entry.name.startsWith(level.start) && isSegment(entry.name)) entries.push(entry);
  }
  return entries;
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
