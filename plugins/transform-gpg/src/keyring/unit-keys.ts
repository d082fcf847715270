import type { PrivateKey } from 'openpgp';
import { PgsiloError } from '@pgsilo/plugin';
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
  const mustSign = (): Promise<PrivateKey> => {
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
    async list(units) {
      const { main, copies } = keyring;
      const lists = units
        ? units.map((unit) => main.keysOf(unit))
        : (await main.unitFolders()).map((folder) => main.keysIn(folder));
      const listed: UnitKey[] = [];
      for (const list of lists) {
        const records = await list;
        for (const record of records) {
          const inCopy = async (): Promise<boolean> => {
            for (const copy of copies)
              if (
                (await copy.keysOf(record.unit)).some(
                  (each) => each.fingerprint === record.fingerprint && each.privateHere,
                )
              )
                return true;
            return false;
          };
          listed.push(describe(record, record === records.at(-1), record.privateHere || (await inCopy())));
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
      return exportKeys(keyring.main, new KeyringFolder(folder), units);
    },
    async destroy(unit, order) {
      await mustSign();
      return destroyKeys(keyring, unit, order);
    },
    async receipt(destruction, facts) {
      return signReceipt(receiptText(destruction, facts), await mustSign(), facts.at);
    },
  };
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
