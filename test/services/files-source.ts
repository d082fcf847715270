// A source that needs no server: each file of a folder is a unit. Lies beside the pipeline file in packed.test.ts.
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { definePlugin, PgsiloError } from '@pgsilo/plugin';
import type { SourceDefinition } from '@pgsilo/plugin';
import { z } from 'zod';

const options: z.ZodObject<{ folder: z.ZodString }> = z.strictObject({
  folder: z.string().meta({ description: 'The folder.', example: 'tenants' }),
});

const plugin: SourceDefinition<typeof options> = definePlugin({
  kind: 'source',
  name: 'files',
  summary: 'Each file of a folder is a tenant.',
  options,
  traits: { consistency: 'unit', pointInTime: false },
  create(chosen, setup) {
    const folder = resolve(setup.folder, chosen.folder);
    return {
      async plan() {
        const names = (await readdir(folder)).sort();
        const units = names.map((name) => ({ name, labels: {}, origin: { file: name } }));
        return { jobs: units.map((unit) => ({ id: unit.name, units: [unit] })), missing: [], warnings: [] };
      },
      async *read({ units }) {
        for (const { name: unit } of units) {
          const body = createReadStream(resolve(folder, unit));
          yield { type: 'artifact', unit, name: 'content.json', format: 'json', body };
          const snapshotAt = new Date().toISOString();
          const facts = { status: 'good', snapshotAt, server: { version: '0' }, tool: 'read' } as const;
          yield { type: 'facts', unit, facts };
        }
      },
      async restore() {
        throw new PgsiloError('restore.refused', 'this source only reads');
      },
      async *check() {
        yield { name: 'folder', status: 'ok', message: folder };
      },
      async close() {},
    };
  },
});

export default plugin;
