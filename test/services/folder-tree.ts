import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

/** Every folder and file below `folder` by its path, with the content of files: what a call has left there shows as a difference. */
export function treeOf(folder: string, except: readonly string[] = []): Record<string, string> {
  const tree: Record<string, string> = {};
  const walk = (path: string): void => {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      const full = join(path, entry.name);
      const name = relative(folder, full);
      if (except.includes(name)) continue;
      if (entry.isDirectory()) {
        tree[`${name}/`] = 'folder';
        walk(full);
      } else {
        tree[name] = entry.isFile() ? readFileSync(full, 'utf8') : 'neither file nor folder';
      }
    }
  };
  walk(folder);
  return tree;
}

/** Paths of all files below `folder`, relative to it; none when it is not there. */
export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();
}
