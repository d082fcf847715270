import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateBucketCommand } from '@aws-sdk/client-s3';
import type { CephAccess } from '@pgsilo/testkit/object-stores';
import { objectStoreHere, startObjectStore } from '../services/object-store.ts';
import { cleanEnvironment } from '../services/pgsilo.ts';
import { measure, median, type Measured } from './measure.ts';

const megabyte = 1e6;
/** Milliseconds that an answer is on its way, for small objects, as from a store in another place. Without them only the speed of this machine's own store would be seen, which shares its processors. */
const latency = 60;

interface Comparison {
  readonly title: string;
  readonly own: string;
  readonly other: string;
  /** Behind a link with latency. */
  readonly far: boolean;
  readonly wanted: string;
}

const comparisons: readonly Comparison[] = [
  {
    title: 'one artifact of 1 GB; the bare upload has the same part size and concurrency',
    own: 'large-pgsilo',
    other: 'large-bare',
    far: false,
    wanted: 'wanted: 0.9 or more',
  },
  {
    title: `2,000 artifacts of 20 KB, each answer ${latency} ms on its way`,
    own: 'small-pgsilo',
    other: 'small-one-by-one',
    far: true,
    wanted: 'wanted: 10 or more',
  },
];

/** The S3 sink on a real gateway on this machine against the SDK's own calls, and many small objects against one after another; in turns, with a new store for each round. */
export async function benchSinks({ rounds }: { readonly rounds: number }): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'pgsilo-sinks-'));
  try {
    for (const comparison of comparisons) {
      const results = new Map<string, Measured[]>(
        [comparison.own, comparison.other].map((name) => [name, []]),
      );
      for (let round = 0; round < rounds; round += 1)
        await withStore(comparison.far, async (access) => {
          for (const [name, all] of results) {
            const measured = await runLoad(name, access, folder);
            process.stderr.write(`round ${round + 1}: ${name} ${measured.seconds.toFixed(2)} s\n`);
            all.push(measured);
          }
        });
      report(comparison, results, rounds);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function runLoad(name: string, access: CephAccess, folder: string): Promise<Measured> {
  const file = join(folder, 'seconds');
  const env = { ...cleanEnvironment(), STORE: JSON.stringify(access) };
  const program = join(import.meta.dirname, 'sink-load.ts');
  const { peakBytes } = await measure(process.execPath, [program, name, file], { env, cwd: folder });
  return { seconds: Number(await readFile(file, 'utf8')), peakBytes };
}

function report(
  { title, own, other, wanted }: Comparison,
  results: ReadonlyMap<string, readonly Measured[]>,
  rounds: number,
): void {
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  say(`${title}; medians of ${rounds} rounds`);
  for (const [name, all] of results) {
    const seconds = all.map((one) => one.seconds);
    const peak = Math.max(...all.map((one) => one.peakBytes)) / megabyte;
    say(
      `  ${name.padEnd(16)} ${median(seconds).toFixed(2).padStart(7)} s (${Math.min(...seconds).toFixed(2)} to ${Math.max(...seconds).toFixed(2)})` +
        `  ${peak.toFixed(0).padStart(4)} MB at most${name === own ? ' (wanted: under 300)' : ''}`,
    );
  }
  const time = (name: string): number => median(results.get(name)!.map((one) => one.seconds));
  say(`  pgsilo's rate is ${(time(other) / time(own)).toFixed(2)} of the other's (${wanted})`);
}

async function withStore(far: boolean, work: (access: CephAccess) => Promise<void>): Promise<void> {
  const store = await startObjectStore(await objectStoreHere());
  const link = far ? await startLink(Number(new URL(store.endpoint).port)) : undefined;
  try {
    await store.client.send(new CreateBucketCommand({ Bucket: 'bench' }));
    const { region, accessKeyId, secretAccessKey } = store;
    await work({ endpoint: link?.endpoint ?? store.endpoint, region, accessKeyId, secretAccessKey });
  } finally {
    await link?.stop();
    await store.stop();
  }
}

/** A way to a port of this machine on which everything that comes back takes longer. */
async function startLink(port: number): Promise<{ readonly endpoint: string; stop(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (near) => {
    const distant = connect({ port, host: '127.0.0.1', noDelay: true });
    for (const socket of [near, distant]) {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    }
    near.pipe(distant);
    distant.on('data', (bytes) => void setTimeout(() => near.write(bytes), latency));
    distant.on('end', () => void setTimeout(() => near.end(), latency));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
