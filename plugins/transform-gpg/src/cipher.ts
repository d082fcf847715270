import type { PrivateKey } from 'openpgp';
import type { ArtifactIdentity, Body, Context, Encoded, JsonObject, Logger } from '@pgsilo/plugin';
import { decryptBody } from './decrypt.ts';
import type { Way } from './decrypt.ts';
import { encryptBody } from './encrypt.ts';
import type { Lock } from './encrypt.ts';
import { decryptByGpg } from './gpg-program.ts';
import { nameOfKey, readPrivateKeys, readPublicKeys } from './key-files.ts';
import type { KeyOfFile } from './key-files.ts';
import { mustBeUsable } from './key-state.ts';
import { Keyring } from './keyring/keyring.ts';
import type { MessageFrame } from './message-frame.ts';
import { writePacket } from './packet.ts';
import { readParameters } from './parameters.ts';
import type { GpgParameters } from './parameters.ts';
import { findSessionKey } from './session-key.ts';
import type { Settings } from './transform.ts';

/** Encrypts and decrypts with the keys that the options name. Each file is read once. */
export class Cipher {
  readonly settings: Settings;
  readonly keyring: Keyring | undefined;
  #publicKeys: Promise<readonly KeyOfFile[]> | undefined;
  #privateKeys: Promise<readonly KeyOfFile<PrivateKey>[]> | undefined;

  constructor(settings: Settings, log: Logger) {
    this.settings = settings;
    this.keyring =
      settings.keyring &&
      new Keyring({
        ...settings.keyring,
        operators: () => this.publicKeys(),
        decrypt: (message) => this.#openWrapped(message),
        log,
      });
  }

  /** Those of `recipients`, or with a key for each unit those of `wrapFor`. */
  publicKeys(): Promise<readonly KeyOfFile[]> {
    const { perUnit, wrapFor, recipients } = this.settings;
    return (this.#publicKeys ??= readPublicKeys(perUnit ? wrapFor : recipients));
  }

  privateKeys(): Promise<readonly KeyOfFile<PrivateKey>[]> {
    const { decryptKeys, decryptPassphrase } = this.settings;
    return (this.#privateKeys ??= readPrivateKeys(decryptKeys, decryptPassphrase, 'decryptPassphrase'));
  }

  async encode(body: Body, { unit }: ArtifactIdentity, { clock, signal }: Context): Promise<Encoded> {
    const now = clock.now();
    if (this.settings.perUnit && this.keyring) {
      const { key, fingerprint } = await this.keyring.currentKey(unit, now);
      // The keyring says how long the key is used. Another machine's clock may be ahead of the one that made it.
      return encodeFor(body, { keys: [key], now: null }, { unit, recipients: [fingerprint] }, signal);
    }
    return this.encodeForAll(body, now, signal);
  }

  /** Encrypts for everybody in {@link publicKeys}, and with the passphrase. */
  async encodeForAll(body: Body, now: Date, signal: AbortSignal): Promise<Encoded> {
    const keys = await this.publicKeys();
    await mustBeUsable(keys, now);
    const { passphrase } = this.settings;
    const about = {
      ...(keys.length === 0 ? {} : { recipients: keys.map(({ key }) => nameOfKey(key)) }),
      ...(passphrase === undefined ? {} : { passphrase: true }),
    };
    return encodeFor(body, { keys: keys.map(({ key }) => key), passphrase, now }, about, signal);
  }

  async *decode(body: Body, parameters: JsonObject, { signal }: Context): AsyncGenerator<Uint8Array> {
    const known = readParameters(parameters);
    yield* decryptBody(body, known, this.#wayFor(known, signal), signal);
  }

  #wayFor(known: GpgParameters, signal: AbortSignal): Way {
    const { passphrase, decryptWith } = this.settings;
    const { unit, recipients: [recipient] = [] } = known;
    const find = async (head: Uint8Array, keys: readonly PrivateKey[]): ReturnType<typeof findSessionKey> =>
      findSessionKey(head, { keys, passphrase }, known.sessionKey);
    if (unit !== undefined && recipient !== undefined && this.keyring) {
      const { keyring } = this;
      return { findSessionKey: async (head) => find(head, [await keyring.privateKey(unit, recipient)]) };
    }
    return {
      findSessionKey: async (head) =>
        find(
          head,
          (await this.privateKeys()).map(({ key }) => key),
        ),
      elsewhere: decryptWith === 'gpg' ? (frame) => decryptByGpg(wholeOf(frame), signal) : undefined,
    };
  }

  #openWrapped(message: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    // What is encrypted for the operators is small; the body whose key it holds has the signal.
    const { signal } = new AbortController();
    return decryptBody(message, {}, this.#wayFor({}, signal), signal);
  }
}

async function encodeFor(body: Body, lock: Lock, about: JsonObject, signal: AbortSignal): Promise<Encoded> {
  const { body: encrypted, head, sessionKey } = await encryptBody(body, lock, signal);
  return { body: encrypted, parameters: { ...about, head, sessionKey } };
}

async function* wholeOf({ head, tag, data }: MessageFrame): AsyncGenerator<Uint8Array> {
  yield head;
  yield* writePacket(tag, data);
}
