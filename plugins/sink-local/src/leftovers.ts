import { randomBytes } from 'node:crypto';
import { lstat, readFile, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { attempt, translate } from './errors.ts';
import { isGone, ownIdentity } from '@pgsilo/plugin/process-identity';
import { isAbsent } from './tree.ts';
import type { Tree } from './tree.ts';

const partSuffix = '.part';
/** Names that begin with it are claims: `claim-<hash of the key>`, the writer's identity inside. */
export const claimPrefix = 'claim-';

/** A name for an object that is being written; tells who writes it. */
export function partName(): string {
  return `${ownIdentity()}-${randomBytes(8).toString('hex')}${partSuffix}`;
}

/**
 * Removes what writers left: at once where the writer is a process of this host that is gone, else when it was last written to before
 * `before`. All unfinished objects lie in one folder, whatever their key.
 */
export async function sweepLeftovers(tree: Tree, before: Date): Promise<number> {
  let names: string[];
  try {
    names = await readdir(tree.writing);
  } catch (error) {
    if (isAbsent(error)) return 0;
    throw translate(error, `list ${tree.writing}`);
  }
  let removed = 0;
  for (const name of names) {
    const path = join(tree.writing, name);
    if (!(await isLeftover(path, name, before))) continue;
    if (await removeFile(path)) removed += 1;
  }
  return removed;
}

async function isLeftover(path: string, name: string, before: Date): Promise<boolean> {
  try {
    const writer = name.startsWith(claimPrefix) ? await readFile(path, 'utf8') : writerOf(name);
    if (writer === undefined) return false;
    return isGone(writer) || (await lstat(path)).mtime < before;
  } catch (error) {
    if (isAbsent(error)) return false;
    throw translate(error, `look at ${path}`);
  }
}

/** Undefined: no name that {@link partName} makes. */
function writerOf(name: string): string | undefined {
  return /^([0-9a-f]{16}-\d+-\d+)-[0-9a-f]{16}\.part$/.exec(name)?.[1];
}

/** False when it was gone already. */
export async function removeFile(path: string): Promise<boolean> {
  try {
    await unlink(path);
    return true;
  } catch (error) {
    if (isAbsent(error)) return false;
    return attempt(`remove ${path}`, Promise.reject(error));
  }
}
