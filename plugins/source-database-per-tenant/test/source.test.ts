import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Source, SourceArtifact } from '@pgsilo/plugin';
import { collect, testContext } from '@pgsilo/testkit';
import { clientPrograms, startPostgres, type ThrowawayPostgres } from '@pgsilo/testkit/postgres';
import plugin from '../src/index.ts';
import { createDatabases, readContext, sql } from './fixture.ts';

let server: ThrowawayPostgres;
beforeAll(async () => {
  server = await startPostgres();
  await createDatabases(server.url, ['one', 'two']);
  await sql(
    server.url,
    'one',
    'CREATE TABLE rows AS SELECT g AS id, md5(g::text) AS text FROM generate_series(1, 100000) g',
  );
});
afterAll(() => server.stop());

async function create(): Promise<Source> {
  const values = plugin.options.parse({ connection: server.url, match: ['one', 'two'] });
  return await plugin.create(values, { pipeline: 'test', folder: '/', log: testContext().log });
}
const sessions = (): Promise<unknown[]> =>
  sql(
    server.url,
    'postgres',
    `SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'pgsilo %'`,
  );
const history = { lastBytes: (): undefined => undefined };

describe('the source', () => {
  it('reads twice the same from a database at rest, and leaves no session', async () => {
    const source = await create();
    const plan = await source.plan(history, testContext());
    const job = plan.jobs.find(({ units }) => units[0]!.name === 'one')!;
    const fingerprints: string[] = [];
    for (let turn = 0; turn < 2; turn += 1) {
      for await (const item of source.read(job, readContext())) {
        if (item.type !== 'artifact') continue;
        const bytes = await collect(item.body);
        if (item.name === 'fingerprint.json') fingerprints.push(bytes.toString());
      }
    }
    expect(fingerprints[0]).toContain('"rows": 100000');
    expect(fingerprints[1]).toBe(fingerprints[0]);
    await source.close();
    expect(await sessions()).toEqual([]);
  });

  it('ends what is still open when it is closed', async () => {
    const source = await create();
    const plan = await source.plan(history, testContext());
    const job = plan.jobs.find(({ units }) => units[0]!.name === 'one')!;
    const items = source.read(job, readContext())[Symbol.asyncIterator]();
    const { body } = (await items.next()).value as SourceArtifact;
    await body[Symbol.asyncIterator]().next();
    expect((await sessions()).length).toBeGreaterThanOrEqual(2);
    await source.close();
    await expect.poll(sessions).toEqual([]);
    await expect(collect(body)).rejects.toMatchObject({ code: 'aborted' });
    await expect(items.next()).rejects.toMatchObject({ code: 'aborted' });
    expect(clientPrograms()).toEqual([]);
  });

  it('locks in the database of the connection', async () => {
    const source = await create();
    const first = await source.lock!('nightly', 'the first run', testContext());
    expect(await source.lock!('nightly', 'the second run', testContext())).toMatchObject({
      held: false,
      holder: 'the first run',
    });
    if (!first.held) throw new Error('not held');
    await first.release();
    await source.close();
  });
});
