// What `sinks.ts` measures, in a process of its own: node sink-load.ts LOAD FILE. How to reach the store comes in STORE, as JSON; the seconds go into the file.
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { Body, Sink } from '@pgsilo/plugin';
import { recordingLogger, testContext } from '@pgsilo/testkit';
import type { CephAccess } from '@pgsilo/testkit/object-stores';
import plugin from '../../plugins/sink-s3/src/index.ts';

const largeBytes = 1_000_000_000;
const smallBytes = 20_000;
const smallCount = 2000;
/** Of the sink; the bare upload is given the same. */
const partSize = 8 * 2 ** 20;
const concurrency = 4;
/** What the engine gives one upload with the usual limits. */
const memory = 60 * 2 ** 20;
/** As `latePuts` of the engine's run-state.ts; those that still flow come on top of that in a run. */
const putsAtOnce = 16;

const [load = '', file = ''] = process.argv.slice(2);
const access = JSON.parse(process.env['STORE'] ?? '{}') as CephAccess;
const { endpoint, region, accessKeyId, secretAccessKey } = access;
const chunk = randomBytes(2 ** 16);

const loads: Record<string, () => Promise<void>> = {
  'large-pgsilo': () =>
    withSink(async (put) => {
      await put('large', body(largeBytes), largeBytes);
    }),
  'large-bare': bareUpload,
  'small-pgsilo': () =>
    withSink(async (put) => {
      const rest = Array.from({ length: smallCount }, (_, index) => index).values();
      const lane = async (): Promise<void> => {
        for (const index of rest) await put(`small-${index}`, body(smallBytes), smallBytes);
      };
      await Promise.all(Array.from({ length: putsAtOnce }, lane));
    }),
  'small-one-by-one': () =>
    withSink(async (put) => {
      for (let index = 0; index < smallCount; index += 1)
        await put(`single-${index}`, body(smallBytes), smallBytes);
    }),
};

const began = performance.now();
await loads[load]!();
await writeFile(file, String((performance.now() - began) / 1000));

async function* body(bytes: number): Body {
  for (let left = bytes; left > 0; left -= chunk.length) yield chunk.subarray(0, left);
}

type Put = (key: string, content: Body, bytes: number) => Promise<unknown>;

async function withSink(work: (put: Put) => Promise<void>): Promise<void> {
  const options = plugin.options.parse({
    bucket: 'bench',
    endpoint,
    provider: 'ceph',
    accessKeyId,
    secretAccessKey,
    partSize: `${partSize}B`,
    concurrency,
  });
  const sink: Sink = await plugin.create(options, { pipeline: 'bench', folder: '/', log: recordingLogger() });
  const context = testContext({ memory });
  await work((key, content, estimatedBytes) =>
    sink.put(key, content, { kind: 'artifact', estimatedBytes }, context),
  );
  await sink.close();
  await context.dispose();
}

/** The SDK's own calls and nothing else: a part is read while others are sent. */
async function bareUpload(): Promise<void> {
  const client = new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
    // As the sink does with a store that is not Amazon's.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  const at = { Bucket: 'bench', Key: 'bare' };
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(at));
  const parts: { readonly PartNumber: number; readonly ETag: string | undefined }[] = [];
  const sending = new Set<Promise<void>>();
  const send = (Body: Buffer): void => {
    const PartNumber = parts.length + sending.size + 1;
    const sent = client
      .send(new UploadPartCommand({ ...at, UploadId, PartNumber, Body }))
      .then(({ ETag }) => {
        parts.push({ PartNumber, ETag });
        sending.delete(sent);
      });
    sending.add(sent);
  };
  let part = Buffer.allocUnsafeSlow(partSize);
  let filled = 0;
  for await (const piece of body(largeBytes)) {
    part.set(piece, filled);
    filled += piece.length;
    if (filled < partSize) continue;
    send(part);
    part = Buffer.allocUnsafeSlow(partSize);
    filled = 0;
    if (sending.size >= concurrency) await Promise.race(sending);
  }
  if (filled > 0) send(part.subarray(0, filled));
  await Promise.all(sending);
  const Parts = parts.toSorted((a, b) => a.PartNumber - b.PartNumber);
  await client.send(new CompleteMultipartUploadCommand({ ...at, UploadId, MultipartUpload: { Parts } }));
  client.destroy();
}
