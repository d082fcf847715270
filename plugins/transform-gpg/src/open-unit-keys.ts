import type { PrivateKey } from 'openpgp';
import { PgsiloError } from '@pgsilo/plugin';
import type { UnitKeys } from '@pgsilo/plugin';
import type { Cipher } from './cipher.ts';
import { readPrivateKeys } from './key-files.ts';
import { createUnitKeys } from './keyring/unit-keys.ts';
import type { Settings } from './transform.ts';

export function openUnitKeys({ keyring, settings }: Cipher): UnitKeys {
  const { signWith } = settings;
  return createUnitKeys(
    keyring!,
    signWith === undefined ? undefined : () => readSigningKey(signWith, settings),
  );
}

/** The key of `signWith`, opened. */
export async function readSigningKey(file: string, { signPassphrase }: Settings): Promise<PrivateKey> {
  try {
    const [first] = await readPrivateKeys([file], signPassphrase, 'signPassphrase');
    const key = first!.key;
    await key.getSigningKey();
    return key;
  } catch (error) {
    throw new PgsiloError(
      'transform.key-missing',
      `the receipt cannot be signed with ${file}: ${(error as Error).message}`,
      {
        cause: error,
        hint: 'Correct signWith, the file of a private key that can sign, or signPassphrase, which opens it.',
      },
    );
  }
}
