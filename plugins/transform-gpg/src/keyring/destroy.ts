import { nothingDestroyed, PgsiloError, toPgsiloError } from '@pgsilo/plugin';
import type { Destruction, DestructionOrder } from '@pgsilo/plugin';
import { noKeys } from './keyring.ts';
import type { Keyring } from './keyring.ts';
import type { KeyRecord, Tombstone } from './keyring-folder.ts';

/**
 * Removes every private half of a unit's keys, in the keyring and all its copies.
 * @param beforehand throws what else keeps it from beginning.
 */
export async function destroyKeys(
  keyring: Keyring,
  unit: string,
  { by, at }: DestructionOrder,
  beforehand: () => Promise<unknown>,
): Promise<Destruction> {
  let earlier: ReadonlyMap<string, Tombstone>;
  try {
    await beforehand();
    earlier = await lookAtAll(keyring, unit);
  } catch (error) {
    throw nothingDestroyed(error);
  }
  let keys: readonly KeyRecord[];
  try {
    keys = await destroyAll(keyring, unit, earlier, { at: at.toISOString(), by });
  } catch (error) {
    const { code, message, cause, hint } = toPgsiloError(error);
    throw new PgsiloError(
      code,
      `the destruction of the keys of ${JSON.stringify(unit)} was interrupted: ${message}`,
      { cause, hint: `${hint === undefined ? '' : `${hint} `}Then run it again, which finishes it.` },
    );
  }
  return {
    unit,
    folders: keyring.folders.map(({ path }) => path),
    keys: keys.map(({ fingerprint, created, destroyed }) => ({
      fingerprint,
      created,
      destroyedAt: destroyed!.at,
      destroyedBy: destroyed!.by,
    })),
  };
}

/** Reads the unit's keys in every folder. What was begun before keeps its date and its name, wherever they stand. */
async function lookAtAll(keyring: Keyring, unit: string): Promise<ReadonlyMap<string, Tombstone>> {
  const absent = await keyring.absentCopy();
  if (absent)
    throw new PgsiloError('config.invalid', `the copy ${absent.path} of the keyring is not there`, {
      option: 'keyring.copies',
      hint: 'Mount it, so that its keys are destroyed as well.',
    });
  const earlier = new Map<string, Tombstone>();
  let known = false;
  for (const folder of keyring.folders)
    for (const { fingerprint, destroyed } of await folder.keysOf(unit)) {
      known = true;
      if (destroyed) earlier.set(fingerprint, destroyed);
    }
  if (!known) throw noKeys(unit);
  return earlier;
}

async function destroyAll(
  keyring: Keyring,
  unit: string,
  earlier: ReadonlyMap<string, Tombstone>,
  tombstone: Tombstone,
): Promise<readonly KeyRecord[]> {
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
  return [...keys.values()];
}
