import { crc32 } from 'node:zlib';
import { cutBlocks, mapInOrder, SpareBlocks } from './block-map.ts';
import { blockMarkBytes, chainCrc, readMark, writeMark } from './block-mark.ts';
import type { BlockMark, EndMark } from './block-mark.ts';
import type { Body, Context } from './context.ts';
import { PgsiloError, throwIfAborted } from './errors.ts';
import { ExactReader } from './exact-reader.ts';

/**
 * How a compression format carries blocks. A stream is `head(mark) stored` for each block and `head(end) tail` at its end, where every
 * stock reader of the format skips heads and tail.
 */
export interface BlockFormat {
  /** For messages: `gzip`. */
  readonly name: string;
  /** Wraps a mark of {@link blockMarkBytes} bytes into what readers of the format skip. Its length is the same for each mark. */
  head(mark: Buffer): Buffer;
  /** What closes the end mark; always the same bytes. */
  readonly tail: Buffer;
  /** The most that `pack` makes of so many bytes. */
  largestStored(rawBytes: number): number;
  /** One block, compressed, on a thread of its own. */
  pack(raw: Uint8Array): Promise<Uint8Array>;
  /** The inverse. Rejects when the result is not of exactly `rawBytes`, and never holds much more than that. */
  unpack(stored: Uint8Array, rawBytes: number): Promise<Uint8Array>;
}

/** Sizes are in bytes. */
export interface BlockLimits {
  readonly blockSize: number;
  /** How many blocks may be held at once, at least 1. */
  readonly inFlight: number;
}

/** Raw bytes, stored bytes and the compressor's own tables, each about a block long. */
const heldPerBlock = 3;
const smallestBlock = 128 * 1024;

/**
 * Fits blocks into what a call may hold: smaller ones first, as long as they still compress well, then fewer at once.
 * @param fixed the block size is given by what was written, so that only their number can be less.
 */
export function limitsOf(blockSize: number, context: Context, fixed = false): BlockLimits {
  const budget = Math.floor(context.memory / heldPerBlock);
  // Beyond one for each processor: one that waits for the reader.
  const wanted = Math.max(1, context.parallel) + 1;
  const size = fixed
    ? blockSize
    : Math.min(blockSize, Math.max(smallestBlock, Math.floor(budget / (wanted + 1))));
  // And one that is being filled.
  return { blockSize: size, inFlight: Math.max(1, Math.min(wanted, Math.floor(budget / size) - 1)) };
}

/**
 * Compresses a body block by block, several at once, and closes it with an end mark.
 * @param spare may serve several bodies, one after another or at once.
 */
export async function* encodeBlocks(
  body: Body,
  format: BlockFormat,
  limits: BlockLimits,
  signal: AbortSignal,
  spare: SpareBlocks,
): Body {
  let blocks = 0;
  let rawBytes = 0;
  let chain = 0;
  const packed = mapInOrder(cutBlocks(body, limits.blockSize, spare), limits.inFlight, async (raw) => {
    throwIfAborted(signal);
    const stored = await format.pack(raw);
    spare.giveBack(raw);
    return { raw: raw.length, stored, crc: crc32(stored) };
  });
  for await (const { raw, stored, crc } of packed) {
    throwIfAborted(signal);
    yield format.head(
      writeMark({ kind: 'block', index: blocks, rawBytes: raw, storedBytes: stored.length, storedCrc: crc }),
    );
    yield stored;
    blocks += 1;
    rawBytes += raw;
    chain = chainCrc(chain, crc);
  }
  throwIfAborted(signal);
  yield Buffer.concat([format.head(writeMark({ kind: 'end', blocks, rawBytes, chain })), format.tail]);
}

/**
 * The inverse. Throws `transform.corrupt` unless the input is, to the byte, what {@link encodeBlocks} wrote, and yields nothing of a
 * block before that block was proved whole. No input makes it hold more than the limits say.
 * @param sizeIsKnown whether `limits.blockSize` is the size that was written; otherwise it is the largest that may have been, and the first block tells.
 */
export async function* decodeBlocks(
  body: Body,
  format: BlockFormat,
  limits: BlockLimits,
  signal: AbortSignal,
  sizeIsKnown = true,
): Body {
  const spare = new SpareBlocks();
  const blocks = mapInOrder(
    readBlocks(body, format, limits.blockSize, spare, sizeIsKnown),
    limits.inFlight,
    async ({ mark, stored }) => {
      throwIfAborted(signal);
      if (crc32(stored) !== mark.storedCrc) throw corrupt(format, `block ${mark.index} was altered`);
      let raw: Uint8Array;
      try {
        raw = await format.unpack(stored, mark.rawBytes);
      } catch (cause) {
        throw corrupt(format, `block ${mark.index} does not decode`, cause);
      }
      spare.giveBack(stored);
      if (raw.length !== mark.rawBytes) {
        throw corrupt(format, `block ${mark.index} holds ${raw.length} bytes instead of ${mark.rawBytes}`);
      }
      return raw;
    },
  );
  for await (const raw of blocks) {
    throwIfAborted(signal);
    yield raw;
  }
  throwIfAborted(signal);
}

interface StoredBlock {
  readonly mark: BlockMark;
  readonly stored: Uint8Array;
}

/**
 * @param mostBytes what a block may hold; where `sizeIsKnown`, what each but the last holds.
 * @param spare where the reader gives back stored blocks that it has done with.
 */
async function* readBlocks(
  body: Body,
  format: BlockFormat,
  mostBytes: number,
  spare: SpareBlocks,
  sizeIsKnown: boolean,
): AsyncGenerator<StoredBlock> {
  let blockSize = mostBytes;
  const largest = format.largestStored(mostBytes);
  const headBytes = format.head(Buffer.alloc(blockMarkBytes)).length;
  let expected: EndMark = { kind: 'end', blocks: 0, rawBytes: 0, chain: 0 };
  let previousWasShort = false;
  const input = new ExactReader(body);
  try {
    for (;;) {
      const where = `after ${expected.blocks} blocks`;
      const head = await input.read(headBytes);
      if (head.length < headBytes) throw corrupt(format, `it was cut ${where}, before its end mark`);
      const mark = markOf(head, format);
      if (mark === undefined) throw corrupt(format, `what stands ${where} is no block that pgsilo wrote`);
      if (mark.kind === 'end') {
        const { blocks, rawBytes, chain } = expected;
        if (mark.blocks !== blocks || mark.rawBytes !== rawBytes || mark.chain !== chain) {
          throw corrupt(
            format,
            `its end mark counts ${mark.blocks} blocks of ${mark.rawBytes} bytes, but ${blocks} of ${rawBytes} bytes came`,
          );
        }
        if (!(await input.read(format.tail.length)).equals(format.tail))
          throw corrupt(format, 'its end mark was cut or altered');
        if ((await input.read(1)).length > 0) throw corrupt(format, 'something follows its end mark');
        return;
      }
      if (mark.index !== expected.blocks || previousWasShort)
        throw corrupt(format, `block ${mark.index} stands ${where}`);
      if (
        mark.rawBytes === 0 ||
        mark.rawBytes > blockSize ||
        mark.storedBytes > format.largestStored(mark.rawBytes)
      ) {
        throw corrupt(
          format,
          `block ${mark.index} claims ${mark.rawBytes} bytes in ${mark.storedBytes}, which no block of ${blockSize} has`,
        );
      }
      const stored = await input.fill(mark.storedBytes, () => spare.take(largest));
      if (stored.length < mark.storedBytes) throw corrupt(format, `it was cut within block ${mark.index}`);
      // All but the last are of one size, so the first one's is that of all.
      if (!sizeIsKnown && mark.index === 0) blockSize = mark.rawBytes;
      previousWasShort = mark.rawBytes < blockSize;
      expected = {
        kind: 'end',
        blocks: expected.blocks + 1,
        rawBytes: expected.rawBytes + mark.rawBytes,
        chain: chainCrc(expected.chain, mark.storedCrc),
      };
      yield { mark, stored };
    }
  } finally {
    await input.close();
  }
}

/** A head is right only if it is, byte for byte, what would be written for its mark. */
function markOf(head: Buffer, format: BlockFormat): BlockMark | EndMark | undefined {
  const empty = format.head(Buffer.alloc(blockMarkBytes));
  const at = head.length - blockMarkBytes;
  return head.subarray(0, at).equals(empty.subarray(0, at)) ? readMark(head.subarray(at)) : undefined;
}

function corrupt(format: BlockFormat, what: string, cause?: unknown): PgsiloError {
  return new PgsiloError('transform.corrupt', `the ${format.name} stream does not decode: ${what}`, {
    ...(cause === undefined ? {} : { cause }),
    hint: 'Use the copy in another sink, or another backup.',
  });
}
