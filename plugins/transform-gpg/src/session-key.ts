import { decryptSessionKeys, readMessage } from 'openpgp';
import type { PrivateKey } from 'openpgp';
import type { Secret } from '@pgsilo/plugin';
import { openpgpConfig } from './openpgp-config.ts';
import { digestOf } from './parameters.ts';
import type { SessionKey } from './protected-data.ts';

export interface Opener {
  readonly keys: readonly PrivateKey[];
  readonly passphrase?: Secret | undefined;
}

/**
 * The session key of a message, if one of the keys or the passphrase opens it; undefined otherwise.
 * @param head what stands before the data.
 * @param digest its SHA-256, where it is known: a wrong passphrase often gives some key, too.
 */
export async function findSessionKey(
  head: Uint8Array,
  { keys, passphrase }: Opener,
  digest: string | undefined,
): Promise<SessionKey | undefined> {
  const attempts: Omit<Parameters<typeof decryptSessionKeys>[0], 'message'>[] = [];
  if (keys.length > 0) attempts.push({ decryptionKeys: [...keys] });
  if (passphrase !== undefined) attempts.push({ passwords: passphrase.reveal() });
  for (const attempt of attempts) {
    // An attempt uses the message up.
    const message = await readMessage({
      binaryMessage: new Uint8Array(head),
      config: { ...openpgpConfig, enforceGrammar: false },
    });
    const found = await decryptSessionKeys({ ...attempt, message, config: openpgpConfig }).catch(() => []);
    const right = found.find(({ data }) => digest === undefined || digestOf(data) === digest);
    if (right) return { data: right.data, algorithm: right.algorithm ?? 'none' };
  }
  return undefined;
}
