import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { filesIn } from './stored.ts';

/** What a manifest says of the objects beside it, read without pgsilo. */
export interface StoredBackup {
  readonly unit: string;
  readonly backup: string;
  /** Path of its folder. */
  readonly folder: string;
  readonly about: object;
  readonly artifacts: readonly {
    readonly name: string;
    readonly key: string;
    readonly storedBytes: number;
  }[];
}

/** Backups in the folder of a local sink: one for each manifest. */
export function backupsIn(store: string): StoredBackup[] {
  return filesIn(store)
    .filter((path) => /\/units\/.*\/manifest\.json$/.test(path))
    .map((path) => {
      const { unit, backup, about, artifacts } = JSON.parse(readFileSync(join(store, path), 'utf8'));
      return { unit: unit.name, backup, about, artifacts, folder: join(store, dirname(path)) };
    });
}

/** What is wrong with the objects of a backup by their names and sizes. */
export function lackOf({ folder, artifacts }: StoredBackup): string[] {
  return artifacts.flatMap(({ key, storedBytes }) => {
    const path = join(folder, key);
    const found = statSync(path, { throwIfNoEntry: false })?.size;
    return found === storedBytes ? [] : [`${path} has ${found} of ${storedBytes} bytes`];
  });
}

/** Everything in the folder of a local sink that belongs to no backup, no ended run and no note. */
export function rubbishIn(store: string): string[] {
  const known = new Set<string>();
  for (const { folder, artifacts } of backupsIn(store)) {
    for (const key of ['manifest.json', ...artifacts.map((artifact) => artifact.key)])
      known.add(join(folder, key));
  }
  const all = filesIn(store).map((path) => join(store, path));
  const isRecord = (path: string): boolean => {
    if (/\/notes\//.test(path)) return true;
    if (!/\/runs\/[^/]+$/.test(path)) return false;
    return all.includes(path.replace(/\.begin\.json$/, '.json'));
  };
  return all.filter((path) => !known.has(path) && !isRecord(path));
}

/** The records of runs in the folder of a local sink, oldest first. */
export function runsIn(store: string): { readonly run: string; readonly status: string }[] {
  return filesIn(store)
    .filter((path) => /\/runs\/[^/]+\.json$/.test(path) && !path.endsWith('.begin.json'))
    .map((path) => JSON.parse(readFileSync(join(store, path), 'utf8')));
}

/** What a folder holds; nothing when it is not there. */
export function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}
