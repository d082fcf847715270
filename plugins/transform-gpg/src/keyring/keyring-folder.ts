import { randomBytes } from 'node:crypto';
import type { Stats } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { encodeUnit, PgsiloError } from '@pgsilo/plugin';
import { z } from 'zod';
import { makeFolderDurably, shred, syncFolder, writeDurably } from './durable.ts';
import { withFiles } from './file-error.ts';

/** What is known of a key without opening it. */
export interface KeyRecord {
  readonly unit: string;
  /** 1 is a unit's first. */
  readonly generation: number;
  readonly fingerprint: string;
  /** ISO 8601. */
  readonly created: string;
  /** Fingerprints of the operators' keys that open the private half. */
  readonly wrappedFor: readonly string[];
  /** Whether the private half is here. */
  readonly privateHere: boolean;
  readonly destroyed?: Tombstone | undefined;
}

export interface Tombstone {
  readonly at: string;
  readonly by: string;
}

/** A key on its way into a keyring, or from one into another. */
export interface KeyFiles {
  readonly record: KeyRecord;
  readonly publicHalf: string;
  /** Encrypted for the operators; undefined when it was destroyed. */
  readonly privateHalf?: string | undefined;
}

const file = {
  record: 'key.json',
  publicHalf: 'public.asc',
  privateHalf: 'private.asc',
  tombstone: 'destroyed.json',
};
const generationForm = /^\d{6}$/;
const unfinished = '.new-';

const recordForm = z.object({
  format: z.literal(1),
  unit: z.string(),
  fingerprint: z.string(),
  created: z.string(),
  wrappedFor: z.array(z.string()),
});
const tombstoneForm = z.object({ format: z.literal(1), at: z.string(), by: z.string() });

/**
 * The keys of units in a folder: `acme/000001/` with the files of its first key. A key appears there whole, by one rename, or not at all, and is never overwritten.
 */
export class KeyringFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = resolve(path);
  }

  async exists(): Promise<boolean> {
    return (await present(this.path))?.isDirectory() ?? false;
  }

  /** Whether it holds no key of any unit, or is not there. */
  async isEmpty(): Promise<boolean> {
    for (const folder of await this.unitFolders())
      if ((await this.#generationsIn(folder)).length > 0) return false;
    return true;
  }

  /** Whether this is the same folder, by whatever path. */
  async isSameAs(other: KeyringFolder): Promise<boolean> {
    const [here, there] = [await present(this.path), await present(other.path)];
    return here && there ? here.dev === there.dev && here.ino === there.ino : this.path === other.path;
  }

  /** Folders of units, by name. */
  async unitFolders(): Promise<readonly string[]> {
    const { path } = this;
    const entries = await withFiles(path, 'read', () =>
      readdir(path, { withFileTypes: true }).catch(ignoreMissing),
    );
    return (entries ?? [])
      .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
      .map(({ name }) => name)
      .toSorted();
  }

  async keysOf(unit: string): Promise<readonly KeyRecord[]> {
    const folder = encodeUnit(unit);
    const keys = await this.keysIn(folder);
    // Another unit's folder under this name: its key would outlive the destruction of this unit's.
    if (keys.some((key) => key.unit !== unit)) throw damaged(join(this.path, folder));
    return keys;
  }

  /** Oldest first. */
  async keysIn(folder: string): Promise<readonly KeyRecord[]> {
    const generations = await this.#generationsIn(folder);
    return Promise.all(
      generations.map((name) => this.#readRecord(join(this.path, folder, name), Number(name))),
    );
  }

  async #generationsIn(folder: string): Promise<readonly string[]> {
    const names = await namesIn(join(this.path, folder));
    return names.filter((name) => generationForm.test(name)).toSorted();
  }

  async #readRecord(folder: string, generation: number): Promise<KeyRecord> {
    const record = await readJson(join(folder, file.record), recordForm);
    if (record === undefined) throw damaged(join(folder, file.record));
    const tombstone = await readJson(join(folder, file.tombstone), tombstoneForm);
    const privateHere = (await present(join(folder, file.privateHalf))) !== undefined;
    const { unit, fingerprint, created, wrappedFor } = record;
    const destroyed = tombstone && { at: tombstone.at, by: tombstone.by };
    return { unit, generation, fingerprint, created, wrappedFor, privateHere, destroyed };
  }

  async read(record: KeyRecord): Promise<KeyFiles> {
    const folder = this.#folderOf(record);
    return withFiles(folder, 'read', async () => {
      const publicHalf = await readFile(join(folder, file.publicHalf), 'utf8');
      const privateHalf = await readFile(join(folder, file.privateHalf), 'utf8').catch(ignoreMissing);
      return { record, publicHalf, privateHalf };
    });
  }

  /** Adds a key durably. False when a key of that generation is there already: it stays as it is. */
  async add(key: KeyFiles): Promise<boolean> {
    return withFiles(this.path, 'written', () => this.#add(key));
  }

  async #add({ record, publicHalf, privateHalf }: KeyFiles): Promise<boolean> {
    const parent = join(this.path, encodeUnit(record.unit));
    await makeFolderDurably(parent);
    const aside = join(parent, unfinished + randomBytes(6).toString('hex'));
    await mkdir(aside, { mode: 0o700 });
    try {
      const { unit, fingerprint, created, wrappedFor, destroyed } = record;
      const write = (name: string, text: string): Promise<void> => writeDurably(join(aside, name), text);
      await write(file.record, json({ unit, fingerprint, created, wrappedFor }));
      await write(file.publicHalf, publicHalf);
      if (destroyed) await write(file.tombstone, json(destroyed));
      else if (privateHalf !== undefined) await write(file.privateHalf, privateHalf);
      await syncFolder(aside);
      await rename(aside, this.#folderOf(record));
    } catch (error) {
      await rm(aside, { recursive: true, force: true });
      if (['EEXIST', 'ENOTEMPTY'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
      throw error;
    }
    await syncFolder(parent);
    await syncFolder(this.path);
    return true;
  }

  /** Marks a key as destroyed, and then removes its private half, so that a destruction that was interrupted can be told and finished. */
  async entomb(record: KeyRecord, tombstone: Tombstone): Promise<void> {
    const folder = this.#folderOf(record);
    await withFiles(folder, 'written', async () => {
      if (record.destroyed === undefined) {
        const aside = join(folder, unfinished + randomBytes(6).toString('hex'));
        await writeDurably(aside, json(tombstone));
        await rename(aside, join(folder, file.tombstone));
      }
      await syncFolder(folder);
      await shred(join(folder, file.privateHalf)).catch(ignoreMissing);
      await syncFolder(folder);
    });
  }

  /** Removes what killed runs left of keys that never were. */
  async sweep(unit: string): Promise<void> {
    const parent = join(this.path, encodeUnit(unit));
    const names = (await namesIn(parent)).filter((name) => name.startsWith(unfinished));
    await withFiles(parent, 'written', async () => {
      for (const name of names) {
        await shred(join(parent, name, file.privateHalf)).catch(ignoreMissing);
        await rm(join(parent, name), { recursive: true, force: true });
      }
    });
  }

  #folderOf({ unit, generation }: KeyRecord): string {
    return join(this.path, encodeUnit(unit), String(generation).padStart(6, '0'));
  }
}

function json(value: object): string {
  return `${JSON.stringify({ format: 1, ...value }, null, 2)}\n`;
}

/** Undefined where there is nothing. */
function present(path: string): Promise<Stats | undefined> {
  return withFiles(path, 'read', () => stat(path).catch(ignoreMissing));
}

async function namesIn(path: string): Promise<readonly string[]> {
  return (await withFiles(path, 'read', () => readdir(path).catch(ignoreMissing))) ?? [];
}

async function readJson<T>(path: string, form: z.ZodType<T>): Promise<T | undefined> {
  const text = await withFiles(path, 'read', () => readFile(path, 'utf8').catch(ignoreMissing));
  if (text === undefined) return undefined;
  try {
    return form.parse(JSON.parse(text));
  } catch (error) {
    throw damaged(path, error);
  }
}

function damaged(path: string, cause?: unknown): PgsiloError {
  return new PgsiloError(
    'transform.key-missing',
    `the keyring is damaged: ${path} is not what pgsilo wrote`,
    {
      hint: 'Bring the folder of this key back from a copy of the keyring.',
      ...(cause === undefined ? {} : { cause }),
    },
  );
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error;
}
