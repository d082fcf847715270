import { recordingLogger } from '@pgsilo/testkit';
import { describeSink } from '@pgsilo/testkit/vitest';
import { afterAll, beforeAll } from 'vitest';
import plugin from '../src/index.ts';
import { bucket, startTestGcs } from './gcs.ts';
import type { TestGcs } from './gcs.ts';

let server: TestGcs;
/** Opens everything, as the token that the sink fetches does. */
let token: string;
beforeAll(async () => {
  server = await startTestGcs();
  token = server.tokens.issue();
  server.tokens.issue = () => token;
});
afterAll(() => server.stop());

describeSink('gcs', async () => ({
  sink: await plugin.create(
    plugin.options.parse({
      bucket,
      prefix: 'some/where',
      apiEndpoint: server.endpoint,
      keyFile: server.keyFile,
      chunkSize: '1MiB',
    }),
    { pipeline: 'test', folder: '/', log: recordingLogger() },
  ),
  traits: plugin.traits,
  secrets: [token],
  keysPerPage: 1000,
  largeBytes: 12 * 1024 * 1024,
}));
