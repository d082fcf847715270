import { recordingLogger } from '@pgsilo/testkit';
import { describeSink } from '@pgsilo/testkit/vitest';
import { afterAll, beforeAll } from 'vitest';
import plugin from '../src/index.ts';
import { account, key, startAzurite } from './azurite.ts';
import type { Azurite } from './azurite.ts';

let server: Azurite;
beforeAll(async () => {
  server = await startAzurite();
  await server.service.createContainer('backups');
}, 60_000);
afterAll(() => server.stop(), 60_000);

const setup = { pipeline: 'test', folder: '/', log: recordingLogger() };

describeSink('azure', async () => ({
  sink: await plugin.create(
    plugin.options.parse({
      container: 'backups',
      prefix: 'some/where',
      endpoint: server.endpoint,
      account,
      key,
      blockSize: '1MiB',
    }),
    setup,
  ),
  traits: plugin.traits,
  secrets: [key, encodeURIComponent(key)],
  keysPerPage: 1000,
  largeBytes: 12 * 1024 * 1024,
}));
