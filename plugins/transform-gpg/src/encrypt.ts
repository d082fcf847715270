import { randomBytes } from 'node:crypto';
import { encryptSessionKey } from 'openpgp';
import type { Key } from 'openpgp';
import { takeIn, throwIfAborted } from '@pgsilo/plugin';
import type { Body, Secret } from '@pgsilo/plugin';
import { writeLiteral } from './literal-data.ts';
import { openpgpConfig } from './openpgp-config.ts';
import { tags, writePacket } from './packet.ts';
import { digestOf } from './parameters.ts';
import { protect } from './protected-data.ts';
import type { SessionKey } from './protected-data.ts';

/** Who may read: each of the keys alone, and the passphrase alone. */
export interface Lock {
  readonly keys: readonly Key[];
  readonly passphrase?: Secret | undefined;
  /** The time by which keys must be valid; null: whatever the time. */
  readonly now: Date | null;
}

export interface Encrypted {
  readonly body: AsyncGenerator<Uint8Array>;
  /** SHA-256 of what stands before the data, and of the session key. */
  readonly head: string;
  readonly sessionKey: string;
}

/** Encrypts a body as gpg would, whatever the keys advertise: AES-256 with a modification detection code. */
export async function encryptBody(body: Body, lock: Lock, signal: AbortSignal): Promise<Encrypted> {
  const sessionKey: SessionKey = { data: new Uint8Array(randomBytes(32)), algorithm: 'aes256' };
  const head = await encryptSessionKey({
    data: sessionKey.data,
    algorithm: 'aes256',
    encryptionKeys: [...lock.keys],
    ...(lock.passphrase === undefined ? {} : { passwords: lock.passphrase.reveal() }),
    // The types lack null, which the library takes for "do not look at the time".
    date: lock.now as Date,
    format: 'binary',
    config: openpgpConfig,
  });
  return {
    body: encryptData(body, head, sessionKey, signal),
    head: digestOf(head),
    sessionKey: digestOf(sessionKey.data),
  };
}

async function* encryptData(
  body: Body,
  head: Uint8Array,
  sessionKey: SessionKey,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const intake = takeIn(body, signal);
  const data = writePacket(tags.protectedData, protect(writeLiteral(intake.body), sessionKey));
  // A reader that stops early closes only what was begun.
  const first = await data.next();
  try {
    yield head;
    if (!first.done) yield first.value;
    yield* data;
  } finally {
    await data.return(undefined);
  }
  throwIfAborted(signal);
}
