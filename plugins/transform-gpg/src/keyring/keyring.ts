import type { Key, PrivateKey } from 'openpgp';
import { PgsiloError } from '@pgsilo/plugin';
import type { Logger } from '@pgsilo/plugin';
import type { KeyOfFile } from '../key-files.ts';
import { exportKeys } from './export.ts';
import { KeyringFolder } from './keyring-folder.ts';
import type { KeyRecord } from './keyring-folder.ts';
import { Lately } from './lately.ts';
import { makeUnitKey, readPrivateHalf, readPublicHalf } from './unit-key.ts';

export interface KeyringSettings {
  readonly path: string;
  readonly copies: readonly string[];
  /** The operators' public keys. */
  readonly operators: () => Promise<readonly KeyOfFile[]>;
  /** Decrypts what was encrypted for the operators. */
  readonly decrypt: (message: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>;
  readonly log: Logger;
}

export interface CurrentKey {
  readonly key: Key;
  readonly fingerprint: string;
}

/** Keys of units that are worked on at one time, and some more; opening a private half may ask a card. */
const mostOpened = 32;

/** Finds and makes the keys of units. */
export class Keyring {
  readonly main: KeyringFolder;
  readonly copies: readonly KeyringFolder[];
  readonly settings: KeyringSettings;
  readonly #making = new Map<string, Promise<KeyRecord>>();
  readonly #publicHalves = new Lately<Key>(mostOpened);
  readonly #privateHalves = new Lately<PrivateKey>(mostOpened);

  constructor(settings: KeyringSettings) {
    this.settings = settings;
    this.main = new KeyringFolder(settings.path);
    this.copies = settings.copies.map((path) => new KeyringFolder(path));
  }

  get folders(): readonly KeyringFolder[] {
    return [this.main, ...this.copies];
  }

  /** The key that new backups of a unit use; made at the first call for it. Throws `transform.key-missing` when the unit's keys were destroyed. */
  async currentKey(unit: string, now: Date): Promise<CurrentKey> {
    // Looked at each time: another process may have rotated or destroyed it since.
    const record = (await this.main.keysOf(unit)).at(-1) ?? (await this.#makeFirst(unit, now));
    if (record.destroyed)
      throw destroyed(
        record,
        'No backup of it was made. If there is a new unit of this name, `pgsilo keys rotate` gives it a key.',
      );
    const { fingerprint } = record;
    const open = (): Promise<Key> => this.main.read(record).then(readPublicHalf);
    return { key: await this.#publicHalves.get(fingerprint, open), fingerprint };
  }

  /** Artifacts of one unit are encoded at once; its first key is made once. */
  async #makeFirst(unit: string, now: Date): Promise<KeyRecord> {
    const known = this.#making.get(unit);
    if (known) return known;
    const making = this.adopt(unit).then((adopted) => adopted ?? this.make(unit, 1, now));
    this.#making.set(unit, making);
    try {
      return await making;
    } finally {
      this.#making.delete(unit);
    }
  }

  /**
   * A keyring that is empty while its copy is not has been lost: its keys are taken back rather than made anew.
   * @returns the newest key of the unit; undefined when it never had one.
   */
  async adopt(unit: string): Promise<KeyRecord | undefined> {
    // All of them: with those of one unit alone the keyring would no longer look lost, and others might be made anew while the copy is away.
    const units = (await this.main.isEmpty()) ? undefined : [unit];
    for (const copy of this.copies) {
      const { added } = await exportKeys(copy, this.main, units);
      if (added > 0)
        this.settings.log.warn('keys were missing from the keyring, and were taken from its copy', {
          keys: added,
          copy: copy.path,
        });
    }
    const newest = (await this.main.keysOf(unit)).at(-1);
    if (newest === undefined) await this.#mustNotBeLost();
    return newest;
  }

  /** A keyring without a single key may have been lost. Only all of its copies together tell that from one that is new. */
  async #mustNotBeLost(): Promise<void> {
    const absent = await this.absentCopy();
    if (absent && (await this.main.isEmpty())) throw perhapsLost(this.main, absent);
  }

  /** A copy that is declared and not there. */
  async absentCopy(): Promise<KeyringFolder | undefined> {
    for (const copy of this.copies) if (!(await copy.exists())) return copy;
    return undefined;
  }

  /** Makes the key of a generation, in the keyring and its copies. When another process has just made it, that one is used. */
  async make(unit: string, generation: number, now: Date): Promise<KeyRecord> {
    await this.main.add(await makeUnitKey(unit, generation, await this.settings.operators(), now));
    const record = (await this.main.keysOf(unit)).find((each) => each.generation === generation);
    if (record === undefined)
      throw new PgsiloError('internal', `the key of ${JSON.stringify(unit)} vanished from the keyring`);
    for (const copy of this.copies) {
      await this.#copyTo(copy, unit).catch((error: unknown) => {
        this.settings.log.warn(
          'a new key could not be copied: until it is, losing this keyring loses the backups',
          {
            unit,
            copy: copy.path,
            error: (error as Error).message,
          },
        );
      });
    }
    return record;
  }

  async #copyTo(copy: KeyringFolder, unit: string): Promise<void> {
    // One that is not mounted must not be made anew beneath.
    if (!(await copy.exists())) throw new Error('the folder is not there');
    await exportKeys(this.main, copy, [unit]);
  }

  /** The private half of a unit's key, from the keyring or a copy. Throws `transform.key-missing`, which says when and by whom it was destroyed. */
  async privateKey(unit: string, fingerprint: string): Promise<PrivateKey> {
    const found: { readonly folder: KeyringFolder; readonly record: KeyRecord }[] = [];
    for (const folder of this.folders) {
      for (const record of await folder.keysOf(unit))
        if (record.fingerprint === fingerprint) found.push({ folder, record });
    }
    const gone = found.find(({ record }) => record.destroyed);
    if (gone) {
      this.#privateHalves.forget(fingerprint);
      throw destroyed(gone.record, 'Its backups that were encrypted with it cannot be read by anybody.');
    }
    const here = found.find(({ record }) => record.privateHere);
    if (here === undefined) {
      throw new PgsiloError(
        'transform.key-missing',
        `the key ${fingerprint} of the unit ${JSON.stringify(unit)} is not in the keyring ${this.main.path}`,
        { hint: 'Bring the folder of this unit back from a copy of the keyring.' },
      );
    }
    return this.#privateHalves.get(fingerprint, async () =>
      readPrivateHalf(await here.folder.read(here.record), this.settings.decrypt),
    );
  }
}

/** A second key for a unit that has one elsewhere would split its backups between two keyrings. */
function perhapsLost(main: KeyringFolder, copy: KeyringFolder): PgsiloError {
  return new PgsiloError(
    'transform.key-missing',
    `the keyring ${main.path} has no keys and its copy ${copy.path} is not there: a new key might be a second one`,
    {
      hint: 'Mount it. If there never was one make its folder, and if it was given up take it out of keyring.copies.',
    },
  );
}

/** For a unit that was never backed up with a key of its own; more likely its name is mistyped. */
export function noKeys(unit: string): PgsiloError {
  return new PgsiloError('usage.invalid', `the unit ${JSON.stringify(unit)} has no keys`, {
    hint: 'Its first backup makes one; `pgsilo keys list` shows the units that have some.',
  });
}

function destroyed({ unit, fingerprint, destroyed: tombstone }: KeyRecord, hint: string): PgsiloError {
  return new PgsiloError(
    'transform.key-missing',
    `the key ${fingerprint} of the unit ${JSON.stringify(unit)} was destroyed on ${tombstone!.at} by ${JSON.stringify(tombstone!.by)}`,
    { hint },
  );
}
