import { lstat, realpath, stat } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { PgsiloError } from '@pgsilo/plugin';
import { attempt, codeOf, translate } from './errors.ts';

/** Holds a character that no key has, so that no object can ever lie in it. */
const writingFolder = '.pgsilo~writing';
/** Milliseconds. */
const lately = 1000;
const segmentForm = /^[A-Za-z0-9\-_.=]+$/;

/** Whether a name could be a piece of a key. What else lies in the folder, such as `lost+found`, is none of ours. */
export function isSegment(name: string): boolean {
  return segmentForm.test(name) && name !== '.' && name !== '..';
}

/** Where objects lie: a key's path is the key, below the root. */
export class Tree {
  readonly root: string;
  /** Where objects are written until they are whole; on the same file system as the objects. */
  readonly writing: string;
  #realRoot: string | undefined;
  #rootSeen: string | undefined;
  #rootSeenAt = -Infinity;

  constructor(root: string) {
    this.root = root;
    this.writing = join(root, writingFolder);
  }

  path(key: string): string {
    if (!key.split('/').every(isSegment))
      throw new PgsiloError('internal', `a key that no sink may be given: ${JSON.stringify(key)}`);
    return join(this.root, key);
  }

  /**
   * Whether there is a root. Throws `sink.unreachable` when there was one and it is gone, or is another folder now, as after an unmount:
   * an empty folder in its place is not the store.
   */
  async hasRoot(): Promise<boolean> {
    const found = await this.#rootIdentity();
    if (this.#rootSeen !== undefined && this.#rootSeen !== found) {
      throw new PgsiloError('sink.unreachable', `${this.root} is no longer the folder that it was`, {
        hint: 'Is the file system still mounted?',
      });
    }
    this.#rootSeen = found;
    this.#rootSeenAt = found === undefined ? -Infinity : performance.now();
    return found !== undefined;
  }

  /** The root without links; as it is written where it is not there yet. */
  place(): Promise<string> {
    return realpath(this.root).catch(() => this.root);
  }

  async #rootIdentity(): Promise<string | undefined> {
    try {
      const found = await stat(this.root, { bigint: true });
      // A file would read like an empty store.
      if (!found.isDirectory()) {
        throw new PgsiloError('sink.denied', `${this.root} is no folder`, {
          hint: 'Move away what stands there, or correct path:.',
        });
      }
      return `${found.dev} ${found.ino}`;
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw translate(error, `look at ${this.root}`);
    }
  }

  /** As {@link hasRoot}, but what was seen less than a second ago counts: for what would notice by itself, a moment later, that the root is gone. */
  async hadRoot(): Promise<void> {
    if (performance.now() - this.#rootSeenAt > lately) await this.hasRoot();
  }

  /** Undefined when nothing is there. Throws `sink.corrupt` when what is there is no plain file, such as a link planted to lead elsewhere. */
  async look(key: string, root: 'has' | 'had' = 'has'): Promise<Stats | undefined> {
    const path = this.path(key);
    let found: Stats;
    try {
      found = await lstat(path);
    } catch (error) {
      if (!isAbsent(error)) throw translate(error, `look at ${path}`);
      await (root === 'has' ? this.hasRoot() : this.hadRoot());
      return undefined;
    }
    if (found.isDirectory()) return undefined;
    if (!found.isFile()) throw notPlain(path, 'file');
    await this.mustBeInside(dirname(path));
    return found;
  }

  /** Throws when a symbolic link between the root and this folder leads elsewhere. The root itself may be one. */
  async mustBeInside(folder: string): Promise<void> {
    this.#realRoot ??= await attempt(`find ${this.root}`, realpath(this.root));
    const real = await attempt(`find ${folder}`, realpath(folder));
    if (real !== join(this.#realRoot, relative(this.root, folder))) throw notPlain(folder, 'folder');
  }
}

/** Whether an error says that there is no such file. */
export function isAbsent(error: unknown): boolean {
  const code = codeOf(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}

export function notPlain(path: string, wanted: 'file' | 'folder'): PgsiloError {
  return new PgsiloError('sink.corrupt', `${path} is not a plain ${wanted} that pgsilo made`, {
    hint: 'Find out who put a link or something else there, and remove it.',
  });
}

export function notFound(key: string): PgsiloError {
  return new PgsiloError('sink.not-found', `there is no object ${key}`);
}
