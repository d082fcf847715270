import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { BlobServiceClient, StorageSharedKeyCredential } from '@azure/storage-blob';

export const account = 'testaccount';
export const key: string = randomBytes(64).toString('base64');

export interface Azurite {
  readonly endpoint: string;
  readonly connectionString: string;
  readonly service: BlobServiceClient;
  stop(): Promise<void>;
}

/** The emulator that Azure publishes, on a free port, in a folder of its own. */
export async function startAzurite(): Promise<Azurite> {
  const program = join(
    dirname(createRequire(import.meta.url).resolve('azurite/package.json')),
    'dist/src/blob/main.js',
  );
  const folder = await mkdtemp(join(tmpdir(), 'azurite-'));
  const parameters = [
    '--location',
    folder,
    '--blobPort',
    '0',
    '--silent',
    '--disableTelemetry',
    '--skipApiVersionCheck',
  ];
  const { PATH } = process.env;
  const env = { PATH, AZURITE_ACCOUNTS: `${account}:${key}` };
  const child = spawn(process.execPath, [program, ...parameters], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  const stop = async () => {
    child.kill();
    await ended;
    await rm(folder, { recursive: true, force: true });
  };
  const lines = createInterface(child.stdout);
  const listening = new Promise<string>((resolve, reject) => {
    // Read on to the end: it must not die of a closed pipe.
    lines.on('line', (line) => {
      const url = /successfully listen\w* (?:at|on) (\S+)/.exec(line)?.[1];
      if (url) resolve(url);
    });
    ended.then(([code]) => reject(new Error(`azurite ended with ${code}`)), reject);
  });
  try {
    const endpoint = `${await listening}/${account}`;
    return {
      endpoint,
      connectionString: `DefaultEndpointsProtocol=http;AccountName=${account};AccountKey=${key};BlobEndpoint=${endpoint};`,
      // No connection of the test's own stays open.
      service: new BlobServiceClient(endpoint, new StorageSharedKeyCredential(account, key), {
        keepAliveOptions: { enable: false },
      }),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
