import { armor, enums, generateKey, readKey, readPrivateKey, unarmor } from 'openpgp';
import type { Key, PrivateKey } from 'openpgp';
import { encodeUnit, PgsiloError } from '@pgsilo/plugin';
import { encryptBody } from '../encrypt.ts';
import { nameOfKey } from '../key-files.ts';
import type { KeyOfFile } from '../key-files.ts';
import { mustBeUsable } from '../key-state.ts';
import { openpgpConfig } from '../openpgp-config.ts';
import type { KeyFiles } from './keyring-folder.ts';

/** Makes a key pair for a unit. Its private half leaves here only encrypted for the operators. */
export async function makeUnitKey(
  unit: string,
  generation: number,
  operators: readonly KeyOfFile[],
  now: Date,
): Promise<KeyFiles> {
  await mustBeUsable(operators, now);
  const { publicKey, privateKey } = await generateKey({
    // The kinds that gpg 2.2 reads, too.
    type: 'ecc',
    curve: 'curve25519Legacy',
    userIDs: { name: `pgsilo ${encodeUnit(unit)} ${generation}` },
    date: now,
    format: 'object',
    config: openpgpConfig,
  });
  return {
    record: {
      unit,
      generation,
      fingerprint: nameOfKey(publicKey),
      created: publicKey.getCreationTime().toISOString(),
      wrappedFor: operators.map(({ key }) => nameOfKey(key)),
      privateHere: true,
    },
    publicHalf: publicKey.armor(),
    privateHalf: await wrap(privateKey, operators, now),
  };
}

async function wrap(key: PrivateKey, operators: readonly KeyOfFile[], now: Date): Promise<string> {
  async function* body(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(key.armor());
  }
  const lock = { keys: operators.map((operator) => operator.key), now };
  const { body: encrypted } = await encryptBody(body(), lock, new AbortController().signal);
  const bytes = await Array.fromAsync(encrypted);
  return armor(enums.armor.message, new Uint8Array(Buffer.concat(bytes)));
}

/** The public half, which must be the one that the record names. */
export async function readPublicHalf({ record, publicHalf }: KeyFiles): Promise<Key> {
  const key = await readKey({ armoredKey: publicHalf }).catch((error: unknown) => {
    throw notTheKey(record, error);
  });
  if (nameOfKey(key) !== record.fingerprint) throw notTheKey(record);
  return key.toPublic();
}

/** @param decrypt opens what was encrypted for the operators. */
export async function readPrivateHalf(
  { record, privateHalf = '' }: KeyFiles,
  decrypt: (message: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>,
): Promise<PrivateKey> {
  const { data } = await unarmor(privateHalf).catch((error: unknown) => {
    throw notTheKey(record, error);
  });
  async function* bytes(): AsyncGenerator<Uint8Array> {
    // A stream only where a stream was given, which the types do not say.
    yield data as unknown as Uint8Array;
  }
  const opened = await Array.fromAsync(decrypt(bytes()));
  const key = await readPrivateKey({ armoredKey: String(Buffer.concat(opened)) }).catch((error: unknown) => {
    throw notTheKey(record, error);
  });
  if (nameOfKey(key) !== record.fingerprint) throw notTheKey(record);
  return key;
}

function notTheKey({ unit, fingerprint, generation }: KeyFiles['record'], cause?: unknown): PgsiloError {
  const name = `${encodeUnit(unit)}/${String(generation).padStart(6, '0')}`;
  return new PgsiloError(
    'transform.key-missing',
    `${name} in the keyring does not hold the key ${fingerprint}`,
    {
      hint: 'Bring the folder of this key back from a copy of the keyring.',
      ...(cause === undefined ? {} : { cause }),
    },
  );
}
