import { PgsiloError } from '@pgsilo/plugin';
import type { Destruction, DestructionOrder } from '@pgsilo/plugin';
import { noKeys } from './keyring.ts';
import type { Keyring } from './keyring.ts';
import type { KeyRecord, Tombstone } from './keyring-folder.ts';

/** Removes every private half of a unit's keys, in the keyring and all its copies. */
export async function destroyKeys(
  keyring: Keyring,
  unit: string,
  { by, at }: DestructionOrder,
): Promise<Destruction> {
  for (const copy of keyring.copies) {
    if (await copy.exists()) continue;
    throw new PgsiloError(
      'config.invalid',
      `the copy ${copy.path} of the keyring is not there: nothing was destroyed`,
      {
        option: 'keyring.copies',
        hint: 'Mount it, so that its keys are destroyed as well.',
      },
    );
  }
  const tombstone = { at: at.toISOString(), by };
  // What was begun before keeps its date and its name, wherever they stand.
  const earlier = new Map<string, Tombstone>();
  for (const folder of keyring.folders)
    for (const record of await folder.keysOf(unit))
      if (record.destroyed) earlier.set(record.fingerprint, record.destroyed);
  const keys = new Map<string, KeyRecord>();
  for (const folder of keyring.folders) {
    // A backup or a rotation that runs at this moment may add one.
    for (;;) {
      const left = (await folder.keysOf(unit)).filter(
        (record) => record.destroyed === undefined || record.privateHere,
      );
      for (const record of left) await folder.entomb(record, earlier.get(record.fingerprint) ?? tombstone);
      if (left.length === 0) break;
    }
    await folder.sweep(unit);
    for (const record of await folder.keysOf(unit))
      if (!keys.has(record.fingerprint)) keys.set(record.fingerprint, record);
  }
  if (keys.size === 0) throw noKeys(unit);
  return {
    unit,
    folders: keyring.folders.map(({ path }) => path),
    keys: [...keys.values()].map(({ fingerprint, created, destroyed }) => ({
      fingerprint,
      created,
      destroyedAt: destroyed!.at,
      destroyedBy: destroyed!.by,
    })),
  };
}
