import { recordingLogger } from '@pgsilo/testkit';
import { describeSink } from '@pgsilo/testkit/vitest';
import plugin from '../src/index.ts';

const token = 'not-to-be-seen';

// To be changed: start a real server of your store, and give each sink a folder or bucket of its own.
describeSink('newcomer', async () => {
  const options = plugin.options.parse({ url: 'http://127.0.0.1:1/', token });
  return {
    sink: await plugin.create(options, { pipeline: 'test', folder: '/', log: recordingLogger() }),
    traits: plugin.traits,
    secrets: [token],
  };
});
