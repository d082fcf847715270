import { isPgsiloError, PgsiloError, takeIn, throwIfAborted } from '@pgsilo/plugin';
import type { Body } from '@pgsilo/plugin';
import { corrupt } from './corrupt.ts';
import { readLiteral } from './literal-data.ts';
import { readFrame } from './message-frame.ts';
import type { MessageFrame } from './message-frame.ts';
import { openOcb } from './ocb-data.ts';
import { tags } from './packet.ts';
import { digestOf } from './parameters.ts';
import type { GpgParameters } from './parameters.ts';
import { unprotect } from './protected-data.ts';
import type { SessionKey } from './protected-data.ts';

/** How a message is opened. */
export interface Way {
  /** The session key, if it is to be had here. */
  findSessionKey(head: Uint8Array): Promise<SessionKey | undefined>;
  /** Where there is none: decrypts the whole message by other means. */
  readonly elsewhere?: ((frame: MessageFrame) => AsyncIterable<Uint8Array>) | undefined;
}

/**
 * Decrypts a body. Bytes come out before the integrity check at the end of the message; when that fails, or the message was altered or cut in any other way,
 * `transform.corrupt` is thrown in place of the end.
 */
export async function* decryptBody(
  body: Body,
  parameters: GpgParameters,
  way: Way,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const intake = takeIn(body, signal);
  try {
    const frame = await readFrame(intake.body);
    if (parameters.head !== undefined && parameters.head !== digestOf(frame.head))
      throw corrupt('what stands before the data was altered');
    const sessionKey = await way.findSessionKey(frame.head);
    if (sessionKey) yield* decryptData(frame, sessionKey, parameters);
    else if (way.elsewhere) yield* way.elsewhere(frame);
    else throw keyMissing(parameters);
    // Who stops before the end has not seen all of it.
    if (!(await frame.data.next()).done) throw corrupt('the data ends before the message does');
  } catch (error) {
    intake.rethrow();
    throwIfAborted(signal);
    throw isPgsiloError(error) ? error : corrupt((error as Error).message, error);
  } finally {
    await intake.body.return(undefined);
  }
  throwIfAborted(signal);
}

function decryptData(
  { tag, data }: MessageFrame,
  sessionKey: SessionKey,
  parameters: GpgParameters,
): AsyncIterable<Uint8Array> {
  if (tag === tags.ocbData) return readLiteral(openOcb(data, sessionKey));
  // The digest of the right key is known of what pgsilo wrote. gpg's own may have been opened with a wrong passphrase.
  const wrongKey = (): Error =>
    parameters.sessionKey === undefined ? keyMissing(parameters) : corrupt('the data was altered');
  return readLiteral(unprotect(data, sessionKey, wrongKey));
}

function keyMissing({ recipients, unit, passphrase }: GpgParameters): PgsiloError {
  const ways = [
    ...(recipients ?? []).map((fingerprint) => `the private key ${fingerprint}`),
    ...(passphrase ? ['the passphrase'] : []),
  ];
  const what = ways.length === 0 ? 'a private key or passphrase' : ways.join(' or ');
  return new PgsiloError(
    'transform.key-missing',
    `${what} decrypts this${unit === undefined ? '' : `, of the unit ${JSON.stringify(unit)}`}, and is not here`,
    { hint: 'Name the file of the private key in decryptKeys, or use decryptWith: gpg.' },
  );
}
