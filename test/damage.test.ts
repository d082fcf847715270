import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  blockBoundaries,
  copyOver,
  cutTo,
  exchange,
  flipAt,
  flipSomewhere,
  lengthen,
  lose,
  type Damage,
} from './services/damage.ts';
import { contentOf } from './services/equality.ts';
import { randomFrom, testSeed } from './services/random.ts';
import { Refusal } from './services/refusal.ts';
import type { StoredBackup } from './services/store-folder.ts';

const seed = testSeed(4711);
const transforms = ['zstd', 'gzip', 'none'] as const;
/** In each pipeline; 201 in all. */
const flips = 67;
/** Titles of changes that a transform has to notice. */
const ofBytes = /^its (archive|fingerprint) (altered|empty|one byte|in)|its archive and its settings/;

describe.each(transforms)('a backup that was damaged (%s)', (transform) => {
  let store: Refusal;
  const keyOf = (backup: StoredBackup, name: string): string =>
    backup.artifacts.find((artifact) => artifact.name === name)!.key;

  beforeAll(async () => {
    store = await Refusal.prepare(transform);
  });
  afterAll(async () => store?.[Symbol.asyncDispose]());

  it(
    `with any of ${flips} bits flipped is refused by verify and restore, which say what is damaged`,
    { timeout: 300_000 },
    async () => {
      const random = randomFrom(seed + transforms.indexOf(transform));
      const content = await contentOf(store.server, 'acme_db');
      let done = 0;
      for (let round = 0; done < flips; round += 1) {
        const spared = store.stored[Math.floor(random() * store.stored.length)];
        const damages = new Map(
          store.stored
            .filter((backup) => backup !== spared)
            .map((backup) => [backup, flipSomewhere(backup, random)]),
        );
        done += damages.size;
        try {
          await store.verifyRefuses(round % 2 === 0 ? 'decode' : 'objects', damages);
          await store.restoreCommandRefuses(...[...damages][round % damages.size]!, round % 3 === 0);
          for (const [backup, change] of damages) await store.restoreRefuses(backup, change);
        } catch (error) {
          throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
        } finally {
          for (const { undo } of damages.values()) undo();
        }
      }
      expect(await contentOf(store.server, 'acme_db')).toEqual(content);
    },
  );

  /** Each works on the first backup of a unit. */
  const changes: readonly (readonly [string, string, (backup: StoredBackup) => Damage])[] = [
    ['its archive altered in the first byte', 'globex', (backup) => flipAt(backup, keyOf(backup, 'database.dump'), 0, 0)],
    ['its archive altered in the table of contents', 'acme', (backup) => flipAt(backup, keyOf(backup, 'database.dump'), 200, 3)],
    ['its archive missing', 'acme', (backup) => lose(backup, keyOf(backup, 'database.dump'))],
    ['its archive empty', 'globex', (backup) => cutTo(backup, keyOf(backup, 'database.dump'), 0)],
    ['its archive one byte longer', 'acme', (backup) => lengthen(backup, keyOf(backup, 'database.dump'))],
    ['its archive one byte shorter', 'globex', (backup) => cutTo(backup, keyOf(backup, 'database.dump'), sizeOf(backup, 'database.dump') - 1)],
    ['its settings missing', 'globex', (backup) => lose(backup, keyOf(backup, 'settings.json'))],
    ['its fingerprint empty', 'acme', (backup) => cutTo(backup, keyOf(backup, 'fingerprint.json'), 0)],
    ['its roles one byte longer', '@globals', (backup) => lengthen(backup, keyOf(backup, 'globals.sql'))],
    ['its manifest empty', 'vigia_master', (backup) => cutTo(backup, 'manifest.json', 0)],
    ['its manifest one byte longer', '@globals', (backup) => lengthen(backup, 'manifest.json')],
    ['its archive and its settings exchanged', 'acme', (backup) => exchange(backup, keyOf(backup, 'database.dump'), keyOf(backup, 'settings.json'))],
    ['the archive of another unit', 'acme', (backup) => artifactOver(store.backupOf('globex'), backup, 'database.dump')],
    ['its own archive of another time', 'globex', (backup) => artifactOver(store.backupOf('globex', 1), backup, 'database.dump')],
    ['the globals in place of its archive', 'vigia_master', (backup) => copyOver({ backup: store.backupOf('@globals'), object: keyOf(store.backupOf('@globals'), 'globals.sql') }, backup, keyOf(backup, 'database.dump'))],
    ['its archive in place of the globals', '@globals', (backup) => copyOver({ backup: store.backupOf('acme'), object: keyOf(store.backupOf('acme'), 'database.dump') }, backup, keyOf(backup, 'globals.sql'))],
    ['the manifest of another unit', 'acme', (backup) => manifestOver(store.backupOf('globex'), backup)],
    ['its own manifest of another time', 'globex', (backup) => manifestOver(store.backupOf('globex', 1), backup)],
    ['its whole folder of another time', 'acme', (backup) => wholeOver(store.backupOf('acme', 1), backup)],
  ]; // prettier-ignore

  it(
    'cut, emptied, lengthened, lost or exchanged is refused by verify and restore, which say what is damaged',
    { timeout: 300_000 },
    async () => {
      // Which object lies where is the same whatever transforms it.
      const tried = transform === 'zstd' ? changes : changes.filter(([title]) => ofBytes.test(title));
      const waiting = [...tried];
      let done = 0;
      while (waiting.length > 0) {
        // One of each unit at a time: fewer calls of the command, and each must be told from the others.
        const units = new Set<string>();
        const batch = waiting.filter(([, unit]) => !units.has(unit) && units.add(unit));
        for (const change of batch) waiting.splice(waiting.indexOf(change), 1);
        const damages = new Map(
          batch.map(([, unit, change]) => [store.backupOf(unit), change(store.backupOf(unit))]),
        );
        try {
          for (const level of ['objects', 'decode'] as const) await store.verifyRefuses(level, damages);
          for (const [backup, change] of damages) {
            await store.restoreRefuses(backup, change);
          }
          await store.restoreCommandRefuses(...[...damages][0]!);
          done += damages.size;
        } finally {
          for (const { undo } of damages.values()) undo();
        }
      }
      expect(done).toBe(tried.length);
      expect(done).toBeGreaterThanOrEqual(6);
    },
  );

  it(
    'cut in the middle, between its blocks where it has some, is refused',
    { timeout: 300_000 },
    async () => {
      const backups = [store.backupOf('globex'), store.backupOf('globex', 1)];
      const cuts = backups.map((backup) => {
        const key = keyOf(backup, 'database.dump');
        const size = sizeOf(backup, 'database.dump');
        const boundaries =
          transform === 'none'
            ? [0, Math.floor(size / 3), Math.floor(size / 2)]
            : blockBoundaries(join(backup.folder, key));
        expect(boundaries[0]).toBe(0);
        expect(boundaries.length).toBeGreaterThanOrEqual(3);
        return { backup, key, places: [boundaries[1]!, boundaries.at(-1)!] };
      });
      for (const n of [0, 1]) {
        const damages = new Map(
          cuts.map(({ backup, key, places }) => [backup, cutTo(backup, key, places[n]!)]),
        );
        try {
          for (const level of ['objects', 'decode'] as const) await store.verifyRefuses(level, damages);
          for (const [backup, change] of damages) await store.restoreRefuses(backup, change);
        } finally {
          for (const { undo } of damages.values()) undo();
        }
      }
    },
  );

  const sizeOf = (backup: StoredBackup, name: string): number =>
    backup.artifacts.find((artifact) => artifact.name === name)!.storedBytes;
  const artifactOver = (from: StoredBackup, backup: StoredBackup, name: string): Damage =>
    copyOver({ backup: from, object: keyOf(from, name) }, backup, keyOf(backup, name));
  const manifestOver = (from: StoredBackup, backup: StoredBackup): Damage =>
    copyOver({ backup: from, object: 'manifest.json' }, backup, 'manifest.json');
  /** Objects and manifest fit together, and lie in the wrong place. */
  const wholeOver = (from: StoredBackup, backup: StoredBackup): Damage => {
    const all = ['manifest.json', ...backup.artifacts.map(({ key }) => key)].map((object) => {
      const [there, here] = [from, backup].map(({ folder }) => readFileSync(join(folder, object)));
      return there!.equals(here!) ? undefined : copyOver({ backup: from, object }, backup, object);
    });
    return { ...all[0]!, undo: () => all.forEach((each) => each?.undo()) };
  };
});
