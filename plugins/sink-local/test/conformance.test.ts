import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeSink } from '@pgsilo/testkit/vitest';
import plugin from '../src/index.ts';
import { createLocalSink } from '../src/sink.ts';

for (const by of ['link', 'claim'] as const) {
  describeSink(`local, published by ${by}`, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'pgsilo-sink-local-'));
    return {
      sink: createLocalSink(plugin.options.parse({ path: 'objects' }), { folder }, by),
      traits: plugin.traits,
      secrets: [],
      dispose: () => rm(folder, { recursive: true, force: true }),
    };
  });
}
