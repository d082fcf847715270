import { ByteReader } from './byte-reader.ts';
import { corrupt } from './corrupt.ts';
import { readContent, readHead, tags } from './packet.ts';

/** Of the packets of both tags. */
const version = 1;
const mostSessionKeyBytes = 1024 * 1024;

/** An encrypted message, read as far as its data. */
export interface MessageFrame {
  /** All that stands before the data, as it stands: the session key, encrypted for each who may read. */
  readonly head: Buffer;
  /** The tag of the packet that holds the data. */
  readonly tag: typeof tags.protectedData | typeof tags.ocbData;
  /** What is in that packet. Ends only when packet and message have both ended, and at the same place. */
  readonly data: AsyncGenerator<Uint8Array>;
}

/** Throws `transform.corrupt` for anything but session keys followed by data that is encrypted and protected. */
export async function readFrame(message: AsyncIterable<Uint8Array>): Promise<MessageFrame> {
  const reader = new ByteReader(message);
  const kept: Buffer[] = [];
  let size = 0;
  let found = false;
  for (;;) {
    const packet = await readHead(reader);
    const { tag, length } = packet;
    if (tag === tags.protectedData || tag === tags.ocbData) {
      if (!found) throw corrupt('no key stands before the data');
      return { head: Buffer.concat(kept), tag, data: toTheEnd(reader, readContent(reader, packet)) };
    }
    const sessionKey = tag === tags.publicKeySessionKey || tag === tags.passphraseSessionKey;
    size += length.bytes;
    if ((!sessionKey && tag !== tags.marker) || length.partial || size > mostSessionKeyBytes)
      throw corrupt('they are no OpenPGP message that is encrypted and protected from being altered');
    found ||= sessionKey;
    kept.push(packet.bytes, await reader.take(length.bytes));
  }
}

async function* toTheEnd(reader: ByteReader, content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let begun = false;
  for await (const chunk of content) {
    if (!begun && chunk[0] !== version)
      throw corrupt(`the data is of version ${chunk[0]}, which neither pgsilo nor gpg writes`);
    begun = true;
    yield chunk;
  }
  if (!(await reader.ended())) throw corrupt('something stands behind their end');
}
