import type { JsonObject } from './context.ts';
import { errorCodes } from './error-codes.ts';
import { PgsiloError, toPgsiloError } from './errors.ts';

/**
 * The keys of units, where a transform gives each unit its own: what `pgsilo keys` works with. Destroying them makes all backups of a unit unreadable, wherever copies of those are.
 * The private halves are never shown and never leave the keyring unencrypted.
 */
export interface UnitKeys {
  /**
   * The keys of these units, or of all: by unit, the oldest first.
   * @param unreadable is told of each unit whose keys cannot be read, by the name of its folder where no other is known; without it the first of them throws.
   */
  list(
    units?: readonly string[],
    unreadable?: (unit: string, error: PgsiloError) => void,
  ): Promise<readonly UnitKey[]>;
  /** The fingerprint of the unit's key that alone decodes what was encoded with these parameters; undefined where it needs none, or others can read it too. */
  keyOf(parameters: JsonObject): string | undefined;
  /** Gives a unit a new key, which later backups use; earlier ones stay readable. A unit whose keys were destroyed has a key again then. */
  rotate(unit: string, now: Date): Promise<UnitKey>;
  /**
   * Adds to another folder what it lacks of the keyring, and marks as destroyed what is. Private halves stay encrypted for the operators.
   * Throws `usage.invalid` when the folder is the keyring, or the one above it is not there.
   */
  export(folder: string, units?: readonly string[]): Promise<KeyExport>;
  /**
   * Makes all backups of a unit that were encrypted with its keys unreadable: removes every private half, in the keyring and in all its copies.
   * Before anything is removed it throws `config.invalid` when a copy is not there or nothing signs the receipt, `usage.invalid` for a unit without keys, and `transform.key-missing` for what
   * cannot be read; all of those say that nothing was destroyed.
   * Doing it again finishes what was interrupted.
   */
  destroy(unit: string, order: DestructionOrder): Promise<Destruction>;
  /** The receipt of a destruction and a detached signature of it. */
  receipt(destruction: Destruction, facts: ReceiptFacts): Promise<Receipt>;
}

export interface UnitKey {
  readonly unit: string;
  /** 1 is a unit's first. */
  readonly generation: number;
  readonly fingerprint: string;
  /** ISO 8601. */
  readonly created: string;
  /** `current`: new backups use it. `earlier`: it reads older ones. `lost`: its private half is in no folder of the keyring. */
  readonly state: 'current' | 'earlier' | 'destroyed' | 'lost';
  /** `unfinished`: it was interrupted, and a private half is still there. */
  readonly destroyed?: { readonly at: string; readonly by: string; readonly unfinished: boolean };
  /** Fingerprints of the operators' keys that open the private half. */
  readonly wrappedFor: readonly string[];
}

export interface KeyExport {
  readonly added: number;
  readonly destroyed: number;
  /** Keys that the folder had already. */
  readonly present: number;
}

export interface DestructionOrder {
  /** Who does it, as it is to stand in the receipt. */
  readonly by: string;
  readonly at: Date;
}

export interface Destruction {
  readonly unit: string;
  /** Of the keys that are destroyed; all of the unit's. */
  readonly keys: readonly {
    readonly fingerprint: string;
    readonly created: string;
    readonly destroyedAt: string;
    readonly destroyedBy: string;
  }[];
  /** The folders from which they were removed: the keyring and its copies. */
  readonly folders: readonly string[];
}

/** What only the catalogs know. */
export interface ReceiptFacts {
  /** When it is written. */
  readonly at: Date;
  /** Those whose sinks were looked at. */
  readonly pipelines: readonly string[];
  /** The backups that can no longer be read. */
  readonly backups: readonly {
    readonly pipeline: string;
    readonly backup: string;
    readonly sinks: readonly string[];
  }[];
  /** What else still holds the unit's data, and until when: dumps of the whole server, base backups, write-ahead log. */
  readonly remaining: readonly { readonly what: string; readonly until?: string }[];
}

export interface Receipt {
  readonly text: string;
  /** ASCII-armored: `gpg --verify receipt.asc receipt.txt`. */
  readonly signature: string;
}

/** An error that kept a destruction from beginning, which it says. */
export function nothingDestroyed(error: unknown): PgsiloError {
  const { code, message, cause, hint, option } = toPgsiloError(error);
  return new PgsiloError(code, message, {
    hint: `${hint ?? errorCodes[code].docs} Nothing was destroyed.`,
    ...(cause === undefined ? {} : { cause }),
    ...(option === undefined ? {} : { option }),
  });
}
