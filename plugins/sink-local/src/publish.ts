import { createHash } from 'node:crypto';
import { link, lstat, open, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { PgsiloError } from '@pgsilo/plugin';
import { codeOf, translate } from './errors.ts';
import type { Folders } from './folders.ts';
import { claimPrefix } from './leftovers.ts';
import { ownIdentity } from '@pgsilo/plugin/process-identity';
import { isAbsent } from './tree.ts';
import type { Tree } from './tree.ts';

const withoutLinks = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);
const attempts = 10;

export type PublishBy = 'link' | 'claim';

/** Gives whole files their final names, never over another. */
export class Publisher {
  readonly #tree: Tree;
  readonly #folders: Folders;
  /** How, as far as it is known: the first file tells. */
  by: PublishBy | undefined;

  constructor(tree: Tree, folders: Folders, by?: PublishBy) {
    this.#tree = tree;
    this.#folders = folders;
    this.by = by;
  }

  /** Throws `sink.exists`. Nothing but `part` is left when it throws. */
  async publish(part: string, key: string): Promise<void> {
    const target = this.#tree.path(key);
    const folder = dirname(target);
    for (let left = attempts; ; left -= 1) {
      try {
        await this.#folders.ensure(folder);
        await this.#place(part, target, key);
        break;
      } catch (error) {
        // Someone removed the last object of the folder just now, and the folder with it.
        if (codeOf(error) === 'ENOENT' && left > 0) {
          this.#folders.forget(folder);
          continue;
        }
        await this.#folders.prune(folder);
        throw translate(error, `store ${target}`);
      }
    }
    try {
      await this.#folders.sync(folder);
    } catch (error) {
      await unlink(target).catch(() => {});
      await this.#folders.prune(folder);
      throw translate(error, `bring the folder ${folder} to the disk`);
    }
  }

  async #place(part: string, target: string, key: string): Promise<void> {
    if (this.by !== 'claim') {
      try {
        await link(part, target);
        this.by = 'link';
        return;
      } catch (error) {
        const code = codeOf(error) ?? '';
        if (code === 'EEXIST') {
          if (await isSameFile(part, target)) return;
          throw existsAlready(key, error);
        }
        if (this.by === 'link' || !withoutLinks.has(code)) throw error;
        this.by = 'claim';
      }
    }
    await this.#placeByClaim(part, target, key);
  }

  /** The claim lies beside the objects, so that nobody takes it for one. */
  async #placeByClaim(part: string, target: string, key: string): Promise<void> {
    const claim = join(this.#tree.writing, claimPrefix + createHash('sha256').update(key).digest('hex'));
    const file = await open(claim, 'wx', 0o600).catch((error: unknown) => {
      throw codeOf(error) === 'EEXIST' ? existsAlready(key, error) : error;
    });
    try {
      try {
        await file.writeFile(ownIdentity());
      } finally {
        await file.close();
      }
      if (await isThere(target)) throw existsAlready(key);
      await rename(part, target);
    } finally {
      await unlink(claim);
    }
  }
}

/** A network file system may have done what it then reports as impossible, because it asked the server twice. */
async function isSameFile(part: string, target: string): Promise<boolean> {
  const [a, b] = await Promise.all([lstat(part, { bigint: true }), lstat(target, { bigint: true })]);
  return a.ino !== 0n && a.ino === b.ino && a.dev === b.dev;
}

async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (isAbsent(error)) return false;
    throw error;
  }
}

export function existsAlready(key: string, cause?: unknown): PgsiloError {
  return new PgsiloError(
    'sink.exists',
    `there is an object ${key} already, or another writer is just storing it`,
    {
      ...(cause === undefined ? {} : { cause }),
      hint: 'Objects are never overwritten.',
    },
  );
}
