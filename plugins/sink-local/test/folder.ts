import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import type { Sink } from '@pgsilo/plugin';
import plugin from '../src/index.ts';
import type { PublishBy } from '../src/publish.ts';
import { createLocalSink } from '../src/sink.ts';

const made: string[] = [];

afterEach(async () => {
  for (const folder of made.splice(0)) await rm(folder, { recursive: true, force: true });
});

/** A folder of the test's own, removed after it. */
export async function ownFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'pgsilo-sink-local-'));
  made.push(folder);
  return folder;
}

export function sinkIn(folder: string, by?: PublishBy, fsync = true): Sink {
  return createLocalSink(plugin.options.parse({ path: 'objects', fsync }), { folder }, by);
}

/** Everything below a folder, folders ending in a slash. */
export async function treeOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .map(
      (entry) =>
        join(entry.parentPath, entry.name).slice(folder.length + 1) + (entry.isDirectory() ? '/' : ''),
    )
    .sort();
}
