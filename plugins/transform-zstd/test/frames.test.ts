import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { constants, crc32, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import type { Context } from '@pgsilo/plugin';
import { bodyOf, collect, dumpLikeBody, testContext } from '@pgsilo/testkit';
import { heldBytes } from '@pgsilo/testkit/conformance';
import { isOneFrame } from '../src/one-frame.ts';
import { createZstdTransform } from '../src/transform.ts';

const about = { unit: 'acme', run: 'run', artifact: 'database.dump' };
const transform = createZstdTransform({ level: 3, blockSize: 65_536 });

async function encode(body: Buffer, context: Context = testContext()): Promise<Buffer> {
  return collect((await transform.encode(bodyOf(body), about, context)).body);
}

/** A stream of one block that holds this frame, and an end mark, both as they should be. */
function streamOf(frame: Buffer, rawBytes: number): Buffer {
  const skippable = (tag: string, numbers: readonly number[]): Buffer => {
    const bytes = Buffer.alloc(28);
    bytes.writeUInt32LE(0x184d2a50, 0);
    bytes.writeUInt32LE(20, 4);
    bytes.write(tag, 8, 'latin1');
    numbers.forEach((number, index) => bytes.writeUInt32LE(number, 12 + 4 * index));
    return bytes;
  };
  const chained = Buffer.alloc(4);
  chained.writeUInt32LE(crc32(frame));
  return Buffer.concat([
    skippable('PSB1', [0, rawBytes, frame.length, crc32(frame)]),
    frame,
    skippable('PSE1', [1, rawBytes, 0, crc32(chained, 0)]),
  ]);
}

function decode(bytes: Buffer, blockSize = 65_536): Promise<Buffer> {
  return collect(transform.decode(bodyOf(bytes), { blockSize }, testContext()));
}

test('every frame carries its content size and a checksum', async () => {
  const bytes = await encode(await collect(dumpLikeBody(200_000)));
  let frames = 0;
  for (let at = 0; bytes.toString('latin1', at + 8, at + 12) === 'PSB1'; frames += 1) {
    const stored = bytes.readUInt32LE(at + 20);
    const descriptor = bytes[at + 28 + 4]!;
    expect(descriptor & 0b100).toBe(0b100);
    expect(descriptor >> 6 > 0 || (descriptor & 0b100000) > 0).toBe(true);
    at += 28 + stored;
  }
  expect(frames).toBe(4);
});

test('zstd itself finds a flipped bit', async () => {
  const bytes = await encode(await collect(dumpLikeBody(200_000)));
  expect(spawnSync('zstd', ['-t', '-q'], { input: bytes }).status).toBe(0);
  bytes[60_000 % bytes.length]! ^= 1;
  expect(spawnSync('zstd', ['-t', '-q'], { input: bytes }).status).not.toBe(0);
});

test('what zstd itself wrote is refused, with a way out', async () => {
  const foreign = execFileSync('zstd', ['-q', '-c'], { input: 'not from here' });
  await expect(decode(foreign)).rejects.toMatchObject({
    code: 'transform.corrupt',
    hint: expect.stringContaining('copy'),
  });
});

test('the hand-made stream of these tests is a good one', async () => {
  expect(String(await decode(streamOf(zstdCompressSync('hello'), 5)))).toBe('hello');
});

describe('hostile streams', () => {
  test('a block that unpacks to a gigabyte stays within its bound', async () => {
    const bomb = zstdCompressSync(Buffer.alloc(256 * 1024 * 1024));
    expect(bomb.length).toBeLessThan(65_536);
    const before = await heldBytes();
    await expect(decode(streamOf(bomb, 65_536))).rejects.toMatchObject({ code: 'transform.corrupt' });
    expect((await heldBytes()) - before).toBeLessThan(4 * 1024 * 1024);
  });

  test('a block that is not exactly one frame is refused, and the next stream decodes', async () => {
    const good = zstdCompressSync('hello', { params: { [constants.ZSTD_c_checksumFlag]: 1 } });
    const bad = {
      'cut within its checksum': good.subarray(0, -2),
      'without its checksum': good.subarray(0, -4),
      'with a byte more': Buffer.concat([good, Buffer.of(0)]),
      'two frames': Buffer.concat([zstdCompressSync('hel'), zstdCompressSync('lo')]),
      'cut within a head': good.subarray(0, 7),
      'without a block': good.subarray(0, 6),
      nothing: Buffer.alloc(0),
    };
    for (const [name, frame] of Object.entries(bad)) {
      const refused = await decode(streamOf(frame, 5)).catch((error: unknown) => error);
      expect({ name, refused }).toMatchObject({ name, refused: { code: 'transform.corrupt' } });
      expect(String(await decode(streamOf(good, 5)))).toBe('hello');
    }
  });

  test('frames of all shapes are told from cut ones', async () => {
    const sizes = [1, 2, 255, 256, 257, 65_535, 65_536, 65_792, 131_072, 131_073, 400_000];
    for (const level of [1, 3, 19])
      for (const size of sizes)
        for (const body of [randomBytes(size), Buffer.alloc(size, 'x')])
          for (const checksum of [0, 1]) {
            const params = {
              [constants.ZSTD_c_compressionLevel]: level,
              [constants.ZSTD_c_checksumFlag]: checksum,
            };
            const frame = zstdCompressSync(body, { params });
            expect(isOneFrame(frame)).toBe(true);
            expect(isOneFrame(frame.subarray(0, -1))).toBe(false);
            expect(isOneFrame(Buffer.concat([frame, Buffer.of(1)]))).toBe(false);
          }
  });

  test('a frame that asks for a large window is refused', async () => {
    // Of unknown size, so that its window is what the descriptor says: 2^(10 + 17) bytes (RFC 8878, 3.1.1.1.2).
    const frame = zstdCompressSync(Buffer.alloc(60_000, 'x'), {
      params: { [constants.ZSTD_c_contentSizeFlag]: 0 },
    });
    frame[5] = 17 << 3;
    expect(zstdDecompressSync(frame)).toHaveLength(60_000);
    await expect(decode(streamOf(frame, 60_000))).rejects.toMatchObject({ code: 'transform.corrupt' });
  });

  test.each([4_294_967_295, 65_537, 0])('a block that claims %i bytes is refused', async (claimed) => {
    await expect(decode(streamOf(zstdCompressSync('hello'), claimed))).rejects.toMatchObject({
      code: 'transform.corrupt',
    });
  });

  test.each([6, 4])('a block of 5 bytes that claims %i is refused', async (claimed) => {
    await expect(decode(streamOf(zstdCompressSync('hello'), claimed))).rejects.toMatchObject({
      code: 'transform.corrupt',
    });
  });

  test.each([0, -1, 1.5, 2 ** 40, '65536', null])(
    'a manifest with blocks of %j is refused',
    async (blockSize) => {
      const read = collect(transform.decode(bodyOf(''), { blockSize }, testContext()));
      await expect(read).rejects.toMatchObject({ code: 'transform.corrupt' });
    },
  );
});

test('blocks shrink to the memory that there is, and the parameters say so', async () => {
  const large = createZstdTransform({ level: 3, blockSize: 16 * 1024 * 1024 });
  const context = testContext({ memory: 12 * 1024 * 1024 });
  const { parameters, body } = await large.encode(dumpLikeBody(3_000_000), about, context);
  expect(parameters).toEqual({ blockSize: 1024 * 1024 });
  const seen = await collect(large.decode(body, parameters, testContext({ memory: 1 })));
  expect(seen.equals(await collect(dumpLikeBody(3_000_000)))).toBe(true);
});
