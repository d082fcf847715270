import type { Setup } from '@pgsilo/plugin';
import { recordingLogger } from '@pgsilo/testkit';
import { describeTransform } from '@pgsilo/testkit/vitest';
import plugin from '../src/index.ts';

const setup: Setup = { pipeline: 'test', folder: '/', log: recordingLogger() };

describeTransform('gzip', async () => ({
  transform: await plugin.create(plugin.options.parse({}), setup),
  traits: plugin.traits,
}));

describeTransform('gzip of the smallest blocks', async () => ({
  transform: await plugin.create(plugin.options.parse({ level: 1, blockSize: '64KiB' }), setup),
  traits: plugin.traits,
  largeBytes: 3_000_000,
  severalBlocks: 200_000,
}));
