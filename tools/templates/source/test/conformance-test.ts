import { recordingLogger } from '@pgsilo/testkit';
import { describeSource } from '@pgsilo/testkit/vitest';
import plugin from '../src/index.ts';

function unwritten(hook: string): never {
  throw new Error(`plugins/source-newcomer/test/conformance.test.ts: write ${hook}`);
}

// To be changed: `startPostgres` of @pgsilo/testkit/postgres gives a throwaway server; make a tenant in it for each source.
// plugins/source-database-per-tenant/test/conformance.test.ts shows all of it.
describeSource('newcomer', async () => {
  const password = 'not-to-be-seen';
  const create = async (port: number) =>
    plugin.create(
      plugin.options.parse({ connection: `postgresql://backup:${password}@127.0.0.1:${port}/postgres` }),
      {
        pipeline: 'test',
        folder: '/',
        log: recordingLogger(),
      },
    );
  return {
    source: await create(1),
    traits: plugin.traits,
    unit: 'acme',
    secrets: [password],
    unreachable: () => create(1),
    killProducer: async (_label) => unwritten('killProducer() to kill the client program of a read'),
    running: async () => unwritten('running() to list children and server sessions'),
    targets: async () => unwritten('targets() to list what a restore could make or replace'),
    contentOf: async (_target) => unwritten('contentOf() to tell all that a unit or a restored copy holds'),
    change: async () => unwritten('change() to delete rows of the unit'),
  };
});
