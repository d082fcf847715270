import { execFileSync, spawnSync } from 'node:child_process';
import { crc32, gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { bodyOf, collect, dumpLikeBody, testContext } from '@pgsilo/testkit';
import { heldBytes } from '@pgsilo/testkit/conformance';
import { createGzipTransform } from '../src/transform.ts';

const about = { unit: 'acme', run: 'run', artifact: 'database.dump' };
const transform = createGzipTransform({ level: 6, blockSize: 65_536 });

function headOf(tag: string, numbers: readonly number[]): Buffer {
  const bytes = Buffer.alloc(36);
  Buffer.from([0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 24, 0, 0x50, 0x53, 20, 0]).copy(bytes);
  bytes.write(tag, 16, 'latin1');
  numbers.forEach((number, index) => bytes.writeUInt32LE(number, 20 + 4 * index));
  return bytes;
}

/** A stream of one block with this content, and an end mark, both as they should be. */
function streamOf(member: Buffer, rawBytes: number): Buffer {
  const stored = member.subarray(10);
  const chained = Buffer.alloc(4);
  chained.writeUInt32LE(crc32(stored));
  return Buffer.concat([
    headOf('PSB1', [0, rawBytes, stored.length, crc32(stored)]),
    stored,
    headOf('PSE1', [1, rawBytes, 0, crc32(chained, 0)]),
    Buffer.from([3, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
  ]);
}

function decode(bytes: Buffer): Promise<Buffer> {
  return collect(transform.decode(bodyOf(bytes), { blockSize: 65_536 }, testContext()));
}

test('gzip and zlib read the whole of it, end mark included', async () => {
  const raw = await collect(dumpLikeBody(200_000));
  const bytes = await collect((await transform.encode(bodyOf(raw), about, testContext())).body);
  expect(spawnSync('gzip', ['-t'], { input: bytes })).toMatchObject({ status: 0, stderr: Buffer.alloc(0) });
  expect(execFileSync('gzip', ['-dc'], { input: bytes }).equals(raw)).toBe(true);
  expect(gunzipSync(bytes).equals(raw)).toBe(true);
  expect(bytes.toString('latin1').split('PSB1')).toHaveLength(5);
});

test('what gzip itself wrote is refused', async () => {
  await expect(decode(execFileSync('gzip', ['-c'], { input: 'not from here' }))).rejects.toMatchObject({
    code: 'transform.corrupt',
  });
});

test('the hand-made stream of these tests is a good one', async () => {
  expect(String(await decode(streamOf(gzipSync('hello'), 5)))).toBe('hello');
});

describe('hostile streams', () => {
  test('a block that unpacks to many megabytes stays within its bound', async () => {
    const bomb = gzipSync(Buffer.alloc(48 * 1024 * 1024));
    expect(bomb.length).toBeLessThan(65_536);
    const before = await heldBytes();
    await expect(decode(streamOf(bomb, 65_536))).rejects.toMatchObject({ code: 'transform.corrupt' });
    expect((await heldBytes()) - before).toBeLessThan(4 * 1024 * 1024);
  });

  test.each([4_294_967_295, 65_537, 0, 6, 4])(
    'a block of 5 bytes that claims %i is refused',
    async (claimed) => {
      await expect(decode(streamOf(gzipSync('hello'), claimed))).rejects.toMatchObject({
        code: 'transform.corrupt',
      });
    },
  );

  test('a wrong check value is refused', async () => {
    const member = gzipSync('hello');
    member[member.length - 8]! ^= 1;
    await expect(decode(streamOf(member, 5))).rejects.toMatchObject({ code: 'transform.corrupt' });
  });

  test('a block shorter than its trailer is refused', async () => {
    await expect(decode(streamOf(gzipSync('hello').subarray(0, 13), 5))).rejects.toMatchObject({
      code: 'transform.corrupt',
    });
  });
});
