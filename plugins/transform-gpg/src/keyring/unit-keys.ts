import { dirname } from 'node:path';
import type { PrivateKey } from 'openpgp';
import { isPgsiloError, PgsiloError } from '@pgsilo/plugin';
import type { UnitKey, UnitKeys } from '@pgsilo/plugin';
import { destroyKeys } from './destroy.ts';
import { exportKeys } from './export.ts';
import { KeyringFolder } from './keyring-folder.ts';
import type { KeyRecord } from './keyring-folder.ts';
import { noKeys } from './keyring.ts';
import type { Keyring } from './keyring.ts';
import { unitKeyOf } from '../parameters.ts';
import { receiptText, signReceipt } from './receipt.ts';

/** @param signingKey reads the key of `signWith`; undefined without that option. */
export function createUnitKeys(keyring: Keyring, signingKey?: () => Promise<PrivateKey>): UnitKeys {
  const mustSign = async (): Promise<PrivateKey> => {
    if (signingKey) return signingKey();
    throw new PgsiloError(
      'config.invalid',
      'signWith is missing: the receipt of a destruction must be signed',
      {
        option: 'signWith',
        hint: 'signWith: ops-sign.asc',
      },
    );
  };
  return {
    async list(units, unreadable) {
      const { main } = keyring;
      const named = units?.map((unit) => ({ name: unit, read: () => main.keysOf(unit) }));
      const all = async (): Promise<NonNullable<typeof named>> =>
        (await main.unitFolders()).map((name) => ({ name, read: () => main.keysIn(name) }));
      const listed: UnitKey[] = [];
      for (const { name, read } of named ?? (await all())) {
        try {
          listed.push(...(await describeAll(keyring, await read())));
        } catch (error) {
          if (!unreadable || !isPgsiloError(error)) throw error;
          unreadable(name, error);
        }
      }
      return listed;
    },
    keyOf: unitKeyOf,
    async rotate(unit, now) {
      const newest = await keyring.adopt(unit);
      if (newest === undefined) throw noKeys(unit);
      return describe(await keyring.make(unit, newest.generation + 1, now), true, true);
    },
    async export(folder, units) {
      for (const unit of units ?? []) if ((await keyring.main.keysOf(unit)).length === 0) throw noKeys(unit);
      const target = new KeyringFolder(folder);
      await mustBeElsewhere(keyring.main, target);
      return exportKeys(keyring.main, target, units);
    },
    async destroy(unit, order) {
      return destroyKeys(keyring, unit, order, mustSign);
    },
    async receipt(destruction, facts) {
      return signReceipt(receiptText(destruction, facts), await mustSign(), facts.at);
    },
  };
}

/** A folder that is not mounted must not be made anew beneath. */
async function mustBeElsewhere(main: KeyringFolder, target: KeyringFolder): Promise<void> {
  if (await target.isSameAs(main))
    throw new PgsiloError('usage.invalid', `${target.path} is the keyring itself`, {
      hint: 'Name another folder.',
    });
  const parent = dirname(target.path);
  if (!(await new KeyringFolder(parent).exists()))
    throw new PgsiloError('usage.invalid', `${target.path} cannot be made: ${parent} is not there`, {
      hint: 'Mount it, or make it.',
    });
}

/** @param records all keys of one unit. */
async function describeAll({ copies }: Keyring, records: readonly KeyRecord[]): Promise<readonly UnitKey[]> {
  const described: UnitKey[] = [];
  for (const record of records) {
    let kept = record.privateHere;
    for (const copy of copies) {
      if (kept) break;
      const there = await copy.keysOf(record.unit);
      kept = there.some(({ fingerprint, privateHere }) => privateHere && fingerprint === record.fingerprint);
    }
    described.push(describe(record, record === records.at(-1), kept));
  }
  return described;
}

function describe(record: KeyRecord, newest: boolean, privateKept: boolean): UnitKey {
  const { unit, generation, fingerprint, created, wrappedFor, destroyed } = record;
  const kept = newest ? 'current' : 'earlier';
  return {
    unit,
    generation,
    fingerprint,
    created,
    wrappedFor,
    state: destroyed ? 'destroyed' : privateKept ? kept : 'lost',
    ...(destroyed ? { destroyed: { ...destroyed, unfinished: record.privateHere } } : {}),
  };
}
