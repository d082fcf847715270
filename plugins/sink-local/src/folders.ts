import { access, chmod, constants, lstat, mkdir, open, rmdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { attempt, codeOf, translate } from './errors.ts';
import { isAbsent, notPlain } from './tree.ts';
import type { Tree } from './tree.ts';

const mode = 0o700;
const mostKnown = 10_000;
/** A folder may be pruned by another process right after it was made. */
const attempts = 10;

/** A folder whose entries are being brought to the disk. */
interface FolderSync {
  readonly running: Promise<void>;
  /** The one after it, which has not begun. */
  next: Promise<void> | undefined;
}

/** Makes folders, durably, and removes empty ones. */
export class Folders {
  readonly #tree: Tree;
  readonly #fsync: boolean;
  /** Folders that are there and whose entries in their parents are on the disk. */
  readonly #known = new Set<string>();
  /** Those of them that we have made, or found to be writable. */
  readonly #writable = new Set<string>();
  readonly #syncs = new Map<string, FolderSync>();
  /** Whether the umask leaves folders as they are asked for; undefined: none was made yet. */
  #exactModes: boolean | undefined;

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

  /** Brings the folder's entries to the disk, and its own and those above it in theirs, whoever made them. */
  async settle(folder: string): Promise<void> {
    try {
      for (let at = folder; at.length >= this.#tree.root.length; at = dirname(at)) {
        await this.sync(at);
        if (at === dirname(at)) break;
      }
    } catch (error) {
      throw translate(error, `bring the folder ${folder} to the disk`);
    }
  }

  /** To be called when a folder turned out to be gone. */
  forget(folder: string): void {
    for (let at = folder; at.length >= this.#tree.root.length; at = dirname(at)) {
      this.#drop(at);
      if (at === dirname(at)) break;
    }
  }

  /**
   * Throws before hours of work when the folder, or the one above it in which it will be made, cannot be written to.
   * @returns whether it is there
   */
  async mustBeWritable(folder: string): Promise<boolean> {
    for (let at = folder; ; at = dirname(at)) {
      if (this.#writable.has(at)) return at === folder;
      try {
        await access(at, constants.W_OK | constants.X_OK);
        if (this.#known.has(at)) this.#writable.add(at);
        return at === folder;
      } catch (error) {
        if (!isAbsent(error) || at === this.#tree.root) throw translate(error, `write to the folder ${at}`);
      }
    }
  }

  /** Removes the folder if it is empty, then those above it that have become empty; never the root. */
  async prune(folder: string): Promise<void> {
    for (let at = folder; at.length > this.#tree.root.length; at = dirname(at)) {
      this.#drop(at);
      try {
        await rmdir(at);
      } catch (error) {
        if (!isAbsent(error)) return;
      }
    }
  }

  /** Waits until the folder's entries, as they are now, are on the disk. Calls that come while one is at work share the next one. */
  async sync(folder: string): Promise<void> {
    if (!this.#fsync) return;
    const atWork = this.#syncs.get(folder);
    if (!atWork) return await this.#beginSync(folder);
    // What is at work may have begun before the entry was made.
    atWork.next ??= atWork.running.catch(() => undefined).then(() => this.#beginSync(folder));
    return await atWork.next;
  }

  #beginSync(folder: string): Promise<void> {
    const sync: FolderSync = { running: syncFolder(folder), next: undefined };
    this.#syncs.set(folder, sync);
    const ended = (): void => {
      if (sync.next === undefined) this.#syncs.delete(folder);
    };
    sync.running.then(ended, ended);
    return sync.running;
  }

  #drop(folder: string): void {
    this.#known.delete(folder);
    this.#writable.delete(folder);
  }

  async #ensure(folder: string): Promise<void> {
    if (this.#known.has(folder)) return;
    if (folder === this.#tree.root) await this.#makeRoot();
    else {
      await this.#ensure(dirname(folder));
      await this.#make(folder);
      await this.sync(dirname(folder));
    }
    if (this.#known.size >= mostKnown) {
      this.#known.clear();
      this.#writable.clear();
    }
    this.#known.add(folder);
  }

  async #make(folder: string): Promise<void> {
    try {
      await mkdir(folder, { mode });
      // The umask is the process's: what it does to one folder it does to all.
      if (this.#exactModes === undefined) this.#exactModes = ((await lstat(folder)).mode & 0o777) === mode;
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
      if (!(await lstat(folder)).isDirectory()) throw notPlain(folder, 'folder');
      return;
    }
    if (!this.#exactModes) await restrict(folder, mode);
    this.#writable.add(folder);
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

async function syncFolder(folder: string): Promise<void> {
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

/** Sets the mode whatever the umask took away. File systems that know no modes refuse or ignore it. */
async function restrict(path: string, wanted: number): Promise<void> {
  try {
    await chmod(path, wanted);
  } catch (error) {
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(codeOf(error) ?? '')) throw error;
  }
}
