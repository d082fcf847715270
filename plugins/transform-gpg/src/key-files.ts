import { readFile } from 'node:fs/promises';
import { decryptKey, readKeys } from 'openpgp';
import type { Key, PrivateKey } from 'openpgp';
import { PgsiloError } from '@pgsilo/plugin';
import type { Secret } from '@pgsilo/plugin';

const armoredBlock = /-----BEGIN PGP (PUBLIC|PRIVATE) KEY BLOCK-----[\s\S]*?-----END PGP \1 KEY BLOCK-----/g;

/** A key and where it came from, for messages. */
export interface KeyOfFile<Kind extends Key = Key> {
  readonly key: Kind;
  readonly file: string;
}

/** All keys of a file, armored or not. Throws `transform.key-missing` when there is none. */
export async function readKeyFile(file: string): Promise<readonly KeyOfFile[]> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const what = code === 'ENOENT' ? 'is not there' : `cannot be read: ${message}`;
    throw new PgsiloError('transform.key-missing', `the key file ${file} ${what}`, { cause: error });
  }
  try {
    // Files of several keys are made by gpg, as one block, and by cat, as several.
    const blocks = bytes.toString('latin1').match(armoredBlock);
    const read = await (blocks
      ? Promise.all(blocks.map((block) => readKeys({ armoredKeys: block })))
      : readKeys({ binaryKeys: bytes }));
    return read.flat().map((key) => ({ key, file }));
  } catch (error) {
    throw new PgsiloError('transform.key-missing', `${file} holds no OpenPGP key that can be read`, {
      cause: error,
      hint: 'Write it with: gpg --armor --export NAME (private keys: --export-secret-keys).',
    });
  }
}

/** Public keys, or the public halves of private ones. */
export async function readPublicKeys(files: readonly string[]): Promise<readonly KeyOfFile[]> {
  const read = await Promise.all(files.map(readKeyFile));
  return read.flat().map(({ key, file }) => ({ key: key.toPublic(), file }));
}

/** Private keys, opened. */
export async function readPrivateKeys(
  files: readonly string[],
  passphrase: Secret | undefined,
  passphraseOption: string,
): Promise<readonly KeyOfFile<PrivateKey>[]> {
  const read = await Promise.all(files.map(readKeyFile));
  return Promise.all(
    read.flat().map(async ({ key, file }) => {
      if (!key.isPrivate()) {
        throw new PgsiloError(
          'transform.key-missing',
          `${file} holds a public key, where a private one is needed`,
          {
            hint: 'Write it with: gpg --armor --export-secret-keys NAME',
          },
        );
      }
      return { key: await openKey(key, file, passphrase, passphraseOption), file };
    }),
  );
}

async function openKey(
  key: PrivateKey,
  file: string,
  passphrase: Secret | undefined,
  option: string,
): Promise<PrivateKey> {
  if (key.isDecrypted()) return key;
  const about = `the private key ${nameOfKey(key)} in ${file}`;
  if (passphrase === undefined) {
    throw new PgsiloError('transform.key-missing', `${about} is protected by a passphrase`, {
      hint: `Set ${option}, or use decryptWith: gpg, whose agent asks for it.`,
    });
  }
  try {
    return await decryptKey({ privateKey: key, passphrase: passphrase.reveal() });
  } catch (error) {
    throw new PgsiloError('transform.key-missing', `${about} is not opened by ${option}`, { cause: error });
  }
}

/** A key as gpg shows it. */
export function nameOfKey(key: Key): string {
  return key.getFingerprint().toUpperCase();
}
