import { copyFileSync, existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { StoredBackup } from './store-folder.ts';

/** One change to an object of a backup, that can be taken back. */
export interface Damage {
  readonly title: string;
  /** File names of the objects that are no longer what was stored. */
  readonly objects: readonly string[];
  undo(): void;
}

/** Changes one file by `change` and keeps its original beside the store. */
function damaged(
  backup: StoredBackup,
  object: string,
  title: string,
  change: (path: string) => void,
): Damage {
  const path = join(backup.folder, object);
  const original = readFileSync(path);
  change(path);
  if (existsSync(path) && readFileSync(path).equals(original))
    throw new Error(`${title}: ${path} is as it was`);
  return {
    title: `${object} of ${backup.unit} ${backup.backup}: ${title}`,
    objects: [object],
    undo: () => writeFileSync(path, original, { mode: 0o600 }),
  };
}

/** Flips one bit of one object, chosen evenly among the objects of the backup and then among the object's bytes. */
export function flipSomewhere(backup: StoredBackup, random: () => number): Damage {
  const objects = ['manifest.json', ...backup.artifacts.map(({ key }) => key)];
  const object = objects[Math.floor(random() * objects.length)]!;
  const place = Math.floor(random() * statSync(join(backup.folder, object)).size);
  return flipAt(backup, object, place, Math.floor(random() * 8));
}

export function flipAt(backup: StoredBackup, object: string, place: number, bit: number): Damage {
  return damaged(backup, object, `bit ${bit} of byte ${place} flipped`, (path) => {
    const bytes = readFileSync(path);
    bytes[place]! ^= 1 << bit;
    writeFileSync(path, bytes);
  });
}

export function cutTo(backup: StoredBackup, object: string, length: number): Damage {
  return damaged(backup, object, `cut to ${length} bytes`, (path) =>
    writeFileSync(path, readFileSync(path).subarray(0, length)),
  );
}

export function lengthen(backup: StoredBackup, object: string): Damage {
  return damaged(backup, object, 'longer by one byte', (path) =>
    writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.of(0)])),
  );
}

export function lose(backup: StoredBackup, object: string): Damage {
  return damaged(backup, object, 'missing', (path) => rmSync(path));
}

/** Puts an object of one backup in the place of one of another; its own place keeps it. */
export function copyOver(
  from: { readonly backup: StoredBackup; readonly object: string },
  backup: StoredBackup,
  object: string,
): Damage {
  return damaged(
    backup,
    object,
    `replaced by ${from.object} of ${from.backup.unit} ${from.backup.backup}`,
    (path) => copyFileSync(join(from.backup.folder, from.object), path),
  );
}

/** Exchanges two objects of one backup. */
export function exchange(backup: StoredBackup, one: string, other: string): Damage {
  const [a, b, aside] = [one, other, `${one}.aside`].map((name) => join(backup.folder, name)) as [
    string,
    string,
    string,
  ];
  const swap = (): void => {
    renameSync(a, aside);
    renameSync(b, a);
    renameSync(aside, b);
  };
  swap();
  return {
    title: `${one} and ${other} of ${backup.unit} ${backup.backup} exchanged`,
    objects: [one, other],
    undo: swap,
  };
}

/** Where the blocks of a compressed object begin, the end mark among them (docs/format.md); the last one is where the end mark does. */
export function blockBoundaries(path: string): number[] {
  const bytes = readFileSync(path);
  // Before the mark: a skippable frame's head, or a gzip member's with an extra field and its subfield's head.
  const head = path.endsWith('.gz') ? 16 : 8;
  const found: number[] = [];
  for (const mark of ['PSB1', 'PSE1']) {
    for (let at = bytes.indexOf(mark); at >= 0; at = bytes.indexOf(mark, at + 1)) found.push(at - head);
  }
  return found.sort((a, b) => a - b);
}
