import { lstat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { throwIfAborted } from '@pgsilo/plugin';
import type { Context } from '@pgsilo/plugin';
import { attempt } from './errors.ts';
import type { Folders } from './folders.ts';
import { removeFile } from './leftovers.ts';
import { isAbsent } from './tree.ts';
import type { Tree } from './tree.ts';

const atOnce = 16;

/** Removes objects, durably, then the folders that have become empty. */
export async function removeObjects(
  tree: Tree,
  folders: Folders,
  keys: readonly string[],
  context: Context,
): Promise<void> {
  const byFolder = Map.groupBy(
    keys.map((key) => tree.path(key)),
    (path) => dirname(path),
  );
  for (const [folder, paths] of byFolder) {
    throwIfAborted(context.signal);
    if (!(await isFolder(tree, folder))) continue;
    let removed = false;
    for (let at = 0; at < paths.length; at += atOnce) {
      throwIfAborted(context.signal);
      const results = await Promise.all(paths.slice(at, at + atOnce).map(removeObject));
      removed ||= results.includes(true);
    }
    if (!removed) continue;
    await attempt(`bring the folder ${folder} to the disk`, folders.sync(folder));
    await folders.prune(folder);
  }
}

async function isFolder(tree: Tree, folder: string): Promise<boolean> {
  try {
    await tree.mustBeInside(folder);
    return true;
  } catch (error) {
    if (!(error instanceof Error && isAbsent(error.cause))) throw error;
    await tree.hasRoot();
    return false;
  }
}

async function removeObject(path: string): Promise<boolean> {
  try {
    return await removeFile(path);
  } catch (error) {
    // A folder is no object, and systems differ in how they refuse to unlink one.
    if ((await lstat(path)).isDirectory()) return false;
    throw error;
  }
}
