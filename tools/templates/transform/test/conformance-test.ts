import { recordingLogger } from '@pgsilo/testkit';
import { describeTransform } from '@pgsilo/testkit/vitest';
import plugin from '../src/index.ts';

describeTransform('newcomer', async () => ({
  transform: await plugin.create(plugin.options.parse({}), {
    pipeline: 'test',
    folder: '/',
    log: recordingLogger(),
  }),
  traits: plugin.traits,
}));
