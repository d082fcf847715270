import { access, chmod, constants, lstat, mkdir, open, rmdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { attempt, codeOf, translate } from './errors.ts';
import { isAbsent, notPlain } from './tree.ts';
import type { Tree } from './tree.ts';

const mode = 0o700;
const mostKnown = 10_000;
/** A folder may be pruned by another process right after it was made. */
const attempts = 10;

/** Makes folders, durably, and removes empty ones. */
export class Folders {
  readonly #tree: Tree;
  readonly #fsync: boolean;
  /** Folders that are there and whose entries in their parents are on the disk. */
  readonly #known = new Set<string>();

  constructor(tree: Tree, fsync: boolean) {
    this.#tree = tree;
    this.#fsync = fsync;
  }

  /** Makes the folder and those above it, root included, as far as they are missing. */
  async ensure(folder: string): Promise<void> {
    for (let left = attempts; ; left -= 1) {
      try {
        await this.#ensure(folder);
        return;
      } catch (error) {
        if (codeOf(error) !== 'ENOENT' || left === 0) throw translate(error, `make the folder ${folder}`);
        this.forget(folder);
      }
    }
  }

  /** To be called when a folder turned out to be gone. */
  forget(folder: string): void {
    for (let at = folder; at.length >= this.#tree.root.length; at = dirname(at)) {
      this.#known.delete(at);
      if (at === dirname(at)) break;
    }
  }

  /** Throws before hours of work when the folder, or the one above it in which it will be made, cannot be written to. */
  async mustBeWritable(folder: string): Promise<void> {
    for (let at = folder; ; at = dirname(at)) {
      try {
        await access(at, constants.W_OK | constants.X_OK);
        return;
      } catch (error) {
        if (!isAbsent(error) || at === this.#tree.root) throw translate(error, `write to the folder ${at}`);
      }
    }
  }

  /** Removes the folder if it is empty, then those above it that have become empty; never the root. */
  async prune(folder: string): Promise<void> {
    for (let at = folder; at.length > this.#tree.root.length; at = dirname(at)) {
      this.#known.delete(at);
      try {
        await rmdir(at);
      } catch (error) {
        if (!isAbsent(error)) return;
      }
    }
  }

  /** Waits until the folder's entries are on the disk. */
  async sync(folder: string): Promise<void> {
    if (!this.#fsync) return;
    const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await handle.sync();
    } catch (error) {
      // Some network and FUSE file systems cannot sync a folder; there is nothing more to be done then.
      if (!['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(codeOf(error) ?? '')) throw error;
    } finally {
      await handle.close();
    }
  }

  async #ensure(folder: string): Promise<void> {
    if (this.#known.has(folder)) return;
    if (folder === this.#tree.root) await this.#makeRoot();
    else {
      await this.#ensure(dirname(folder));
      await this.#make(folder);
      await this.sync(dirname(folder));
    }
    if (this.#known.size >= mostKnown) this.#known.clear();
    this.#known.add(folder);
  }

  async #make(folder: string): Promise<void> {
    try {
      await mkdir(folder, { mode });
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
      if (!(await lstat(folder)).isDirectory()) throw notPlain(folder, 'folder');
      return;
    }
    await restrict(folder, mode);
  }

  async #makeRoot(): Promise<void> {
    const { root } = this.#tree;
    if (await this.#tree.hasRoot()) return;
    const highest = await attempt(`make the folder ${root}`, mkdir(root, { recursive: true, mode }));
    if (highest === undefined) return;
    for (let at = root; at.length >= highest.length; at = dirname(at)) {
      await restrict(at, mode);
      await this.sync(dirname(at));
    }
    await this.#tree.hasRoot();
  }
}

/** Sets the mode whatever the umask took away. File systems that know no modes refuse or ignore it. */
async function restrict(path: string, wanted: number): Promise<void> {
  try {
    await chmod(path, wanted);
  } catch (error) {
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(codeOf(error) ?? '')) throw error;
  }
}
