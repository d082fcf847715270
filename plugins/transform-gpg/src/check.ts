import type { CheckResult, Context } from '@pgsilo/plugin';
import type { Cipher } from './cipher.ts';
import { nameOfKey } from './key-files.ts';
import { expiryOf, whyUnusable } from './key-state.ts';
import { checkKeyring } from './keyring/check.ts';
import { readSigningKey } from './open-unit-keys.ts';

const soon = 30 * 86_400_000;

/** What `pgsilo doctor` says of the keys. One that cannot be read at all throws, which it shows as well. */
export async function* check(cipher: Cipher, context: Context): AsyncGenerator<CheckResult> {
  const { settings, keyring } = cipher;
  const usable = yield* checkPublicKeys(cipher, context.clock.now());
  if (usable) yield await checkDecryption(cipher, context);
  if (settings.perUnit && keyring) yield* checkKeyring(keyring);
  if (settings.signWith !== undefined) yield await checkSigning(cipher, settings.signWith);
  else if (settings.perUnit)
    yield {
      name: 'signWith',
      status: 'warning',
      message: 'no key signs receipts, so that no key of a unit can be destroyed',
      hint: 'signWith: ops-sign.asc',
    };
}

async function* checkPublicKeys(cipher: Cipher, now: Date): AsyncGenerator<CheckResult, boolean> {
  const { perUnit } = cipher.settings;
  const name = perUnit ? 'wrapFor' : 'recipients';
  let usable = true;
  for (const { key, file } of await cipher.publicKeys()) {
    const about = `${nameOfKey(key)} in ${file}`;
    const why = await whyUnusable(key, now);
    const until = await expiryOf(key);
    if (why !== undefined) {
      usable = false;
      yield {
        name,
        status: 'failed',
        message: `${about} ${why}`,
        hint: 'Put a key there that can be encrypted to.',
      };
    } else if (until && until.getTime() - now.getTime() < soon) {
      const message = `${about} expires on ${until.toISOString().slice(0, 10)}: no backup can be made after that`;
      yield {
        name,
        status: 'warning',
        message,
        hint: 'Extend it with gpg --quick-set-expire and export it again.',
      };
    } else {
      yield { name, status: 'ok', message: about };
    }
  }
  return usable;
}

/** A few bytes there and back: whether the private keys are the right ones shows in nothing else. */
async function checkDecryption(cipher: Cipher, context: Context): Promise<CheckResult> {
  const name = 'decryption';
  const { decryptKeys, decryptWith, passphrase } = cipher.settings;
  if (decryptKeys.length === 0 && decryptWith === 'keys' && passphrase === undefined)
    return {
      name,
      status: 'ok',
      message: 'no private key is named here: only a machine that has one can restore or verify',
    };
  const text = 'pgsilo doctor';
  async function* body(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(text);
  }
  try {
    const encoded = await cipher.encodeForAll(body(), context.clock.now(), context.signal);
    const back = await Array.fromAsync(cipher.decode(encoded.body, encoded.parameters, context));
    if (String(Buffer.concat(back)) === text)
      return { name, status: 'ok', message: 'what is encrypted here can be decrypted here' };
    return { name, status: 'failed', message: 'a test message came back as another' };
  } catch (error) {
    return failed(name, error);
  }
}

async function checkSigning({ settings }: Cipher, file: string): Promise<CheckResult> {
  const name = 'signWith';
  try {
    const key = await readSigningKey(file, settings);
    return { name, status: 'ok', message: `${nameOfKey(key)} in ${file} signs receipts` };
  } catch (error) {
    return failed(name, error);
  }
}

function failed(name: string, error: unknown): CheckResult {
  const { message, hint } = error as { readonly message: string; readonly hint?: string };
  return { name, status: 'failed', message, ...(hint === undefined ? {} : { hint }) };
}
