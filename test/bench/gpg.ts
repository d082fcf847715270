import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { pipeline } from 'node:stream/promises';
import type { Body, JsonObject, Transform } from '@pgsilo/plugin';
import { collect, dumpLikeBody, randomBody, testContext } from '@pgsilo/testkit';
import gpg from '../../plugins/transform-gpg/src/index.ts';
import zstd from '../../plugins/transform-zstd/src/index.ts';
import { median } from './measure.ts';

const megabyte = 1e6;
const heldBytes = 64 * megabyte;
const times = 8;
const chunkBytes = 64 * 1024;
const mostRatio = 1.2;

/** Whether encryption hides behind compression, or compression behind encryption: both together against the slower of the two alone. */
export async function benchGpg({ rounds }: { readonly rounds: number }): Promise<void> {
  // As the command does (packages/cli/src/main.ts): what collections cost is part of both sides.
  setFlagsFromString('--heap-growing-percent=200');
  const folder = await mkdtemp(join(tmpdir(), 'pgsilo-bench-gpg-'));
  try {
    const setup = { pipeline: 'fleet', folder, log: testContext().log };
    const own = {
      zstd: await zstd.create(zstd.options.parse({}), setup),
      gpg: await gpg.create(gpg.options.parse({ passphrase: 'correct horse battery staple' }), setup),
    };
    const chains = [[own.zstd], [own.gpg], [own.zstd, own.gpg]];
    for (const [what, body] of [
      ['rows of a dump', dumpLikeBody(heldBytes)],
      ['bytes that do not compress', randomBody(heldBytes)],
    ] as const) {
      const held = await collect(body);
      process.stdout.write(`${(heldBytes * times) / megabyte} MB of ${what}\n`);
      const seconds = chains.map(() => ({ encode: [] as number[], decode: [] as number[] }));
      // Each round has all of them, so that a busy machine is busy for all.
      for (let round = 0; round < rounds; round += 1) {
        for (const [index, chain] of chains.entries()) {
          const file = join(folder, 'stored');
          const stored = await timed(seconds[index]!.encode, () => encodeAll(held, chain, file));
          await timed(seconds[index]!.decode, () => decodeAll(file, stored));
        }
      }
      for (const direction of ['encode', 'decode'] as const) {
        const [compress, encrypt, both] = seconds.map((each) => median(each[direction])) as [
          number,
          number,
          number,
        ];
        const ratio = both / Math.max(compress, encrypt);
        const alone = `zstd ${compress.toFixed(2)} s, gpg ${encrypt.toFixed(2)} s`;
        process.stdout.write(
          `  ${direction}  ${alone}, together ${both.toFixed(2)} s: ${ratio.toFixed(2)} of the slower (wanted: at most ${mostRatio})\n`,
        );
      }
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Undo {
  readonly transform: Transform;
  readonly parameters: JsonObject;
}

/** What the engine does with an artifact on its way to a folder. */
async function encodeAll(held: Buffer, chain: readonly Transform[], file: string): Promise<readonly Undo[]> {
  async function* repeated(): Body {
    for (let time = 0; time < times; time += 1)
      for (let at = 0; at < held.length; at += chunkBytes) yield held.subarray(at, at + chunkBytes);
  }
  const undo: Undo[] = [];
  let body: Body = repeated();
  for (const transform of chain) {
    const about = { unit: 'acme', run: 'run', artifact: 'database.dump' };
    const encoded = await transform.encode(body, about, context());
    body = encoded.body;
    undo.unshift({ transform, parameters: encoded.parameters });
  }
  await pipeline(body, createWriteStream(file));
  return undo;
}

async function decodeAll(file: string, stored: readonly Undo[]): Promise<void> {
  let body: Body = createReadStream(file, { highWaterMark: 16 * chunkBytes });
  for (const { transform, parameters } of stored) body = transform.decode(body, parameters, context());
  let bytes = 0;
  for await (const chunk of body) bytes += chunk.length;
  if (bytes !== heldBytes * times) throw new Error(`${bytes} bytes came back`);
}

function context(): ReturnType<typeof testContext> {
  return testContext({ parallel: availableParallelism() });
}

async function timed<Result>(into: number[], work: () => Promise<Result>): Promise<Result> {
  const began = performance.now();
  const result = await work();
  into.push((performance.now() - began) / 1000);
  return result;
}
