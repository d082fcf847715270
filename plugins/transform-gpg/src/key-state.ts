import type { Key } from 'openpgp';
import { PgsiloError } from '@pgsilo/plugin';
import { nameOfKey } from './key-files.ts';
import type { KeyOfFile } from './key-files.ts';

/** Why nothing can be encrypted to a key at this time; undefined when it can. */
export async function whyUnusable(key: Key, now: Date): Promise<string | undefined> {
  if (await key.isRevoked(undefined, undefined, now)) return 'was revoked';
  const until = await expiryOf(key);
  if (until instanceof Date && until <= now) return `expired on ${dayOf(until)}`;
  if (key.getCreationTime() > now) return `is valid only from ${key.getCreationTime().toISOString()}`;
  try {
    await key.getEncryptionKey(undefined, now);
    return undefined;
  } catch (error) {
    return (await whySubkeysUnusable(key, now)) ?? `cannot be encrypted to: ${(error as Error).message}`;
  }
}

async function whySubkeysUnusable(key: Key, now: Date): Promise<string | undefined> {
  try {
    // Whatever its time, there is one.
    await key.getEncryptionKey(undefined, null);
  } catch {
    const revoked = await Promise.all(key.subkeys.map((subkey) => revokedAt(subkey, key, now)));
    return revoked.includes(true)
      ? 'has no subkey for encryption that is not revoked'
      : 'has no subkey for encryption';
  }
  const times = await Promise.all(key.subkeys.map((subkey) => subkey.getExpirationTime().catch(() => null)));
  const past = times.filter((time) => time instanceof Date && time <= now) as Date[];
  const last = past.toSorted((a, b) => b.getTime() - a.getTime())[0];
  return last && `has a subkey for encryption that expired on ${dayOf(last)}`;
}

async function revokedAt(subkey: Key['subkeys'][number], key: Key, now: Date): Promise<boolean> {
  const [signature] = subkey.bindingSignatures;
  return signature !== undefined && subkey.isRevoked(signature, key.keyPacket, now);
}

/** When nothing more can be encrypted to a key; undefined: never, or not known. */
export async function expiryOf(key: Key): Promise<Date | undefined> {
  const until = await key.getExpirationTime().catch(() => undefined);
  return until instanceof Date ? until : undefined;
}

/** Throws `transform.key-missing` that names the first key that cannot be encrypted to. */
export async function mustBeUsable(keys: readonly KeyOfFile[], now: Date): Promise<void> {
  for (const { key, file } of keys) {
    const why = await whyUnusable(key, now);
    if (why === undefined) continue;
    throw new PgsiloError('transform.key-missing', `the key ${nameOfKey(key)} in ${file} ${why}`, {
      hint: 'Put a key there that can be encrypted to. What was encrypted before stays readable with the old private key.',
    });
  }
}

function dayOf(time: Date): string {
  return time.toISOString().slice(0, 10);
}
