import { pipeline } from 'node:stream/promises';
import { createInflate, createInflateRaw } from 'node:zlib';
import { ByteReader } from './byte-reader.ts';
import { corrupt } from './corrupt.ts';
import { readContent, readHead, tags, writePacket } from './packet.ts';
import { onlyGpg } from './protected-data.ts';

/** Binary, without a name, without a time: the manifest says more. */
const ownHead = Buffer.from([0x62, 0, 0, 0, 0, 0]);
/** One compressed packet within another is all that anybody writes. */
const deepest = 2;

/** A body as the packet that stands under the encryption. A chunk of it is valid until the next is asked for. */
export function writeLiteral(body: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  async function* content(): AsyncGenerator<Uint8Array> {
    yield ownHead;
    yield* body;
  }
  return writePacket(tags.literal, content(), true);
}

/** The body in decrypted packets, which gpg may have compressed and signed. Reads them to their end, so that what checks them there is asked. */
export async function* readLiteral(
  packets: AsyncIterable<Uint8Array>,
  depth = 0,
): AsyncGenerator<Uint8Array> {
  const reader = new ByteReader(packets);
  let found = false;
  while (!(await reader.ended())) {
    const head = await readHead(reader);
    const content = readContent(reader, head);
    if (head.tag === tags.literal && !found) yield* withoutHead(content);
    else if (head.tag === tags.compressed && !found && depth < deepest)
      yield* readLiteral(inflated(content), depth + 1);
    else if (head.tag === tags.signature || head.tag === tags.onePassSignature || head.tag === tags.marker)
      for await (const _ of content);
    else throw corrupt('something else than data was encrypted');
    found ||= head.tag === tags.literal || head.tag === tags.compressed;
  }
  if (!found) throw corrupt('no data was encrypted');
}

async function* withoutHead(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = new ByteReader(content);
  const [, nameBytes] = await reader.take(2);
  await reader.take(nameBytes! + 4);
  while (!(await reader.ended())) yield await reader.some(Infinity);
}

async function* inflated(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = new ByteReader(content);
  const [algorithm] = await reader.take(1);
  async function* rest(): AsyncGenerator<Uint8Array> {
    while (!(await reader.ended())) yield await reader.some(Infinity);
  }
  if (algorithm === 0) yield* rest();
  else if (algorithm === 1 || algorithm === 2) {
    const engine = algorithm === 1 ? createInflateRaw() : createInflate();
    const feeding = pipeline(rest, engine);
    // It is told by the engine, too.
    feeding.catch(() => {});
    for await (const chunk of engine) yield chunk as Uint8Array;
    await feeding;
  } else throw onlyGpg(`the compression ${algorithm}`);
}
