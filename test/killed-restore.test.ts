import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { contentOf, settingsOf } from './services/equality.ts';
import { createFleet, tenants, writePipeline } from './services/fleet.ts';
import { dyingAt, nothingRuns, type Moment } from './services/moments.ts';
import { pgsiloOk, startPgsilo, type CallOptions } from './services/pgsilo.ts';
import { randomFrom, testSeed } from './services/random.ts';
import { startServer, type TestServer } from './services/server.ts';
import { entriesOf } from './services/store-folder.ts';

const seed = testSeed(20261121);

describe('a restore --replace that is killed', () => {
  let server: TestServer;
  let at: CallOptions;
  let file: string;
  let length: number;
  let backedUp: { readonly content: string[]; readonly settings: object };

  const replace = (...more: string[]): string[] => [
    'restore',
    'vigia.yaml',
    'acme',
    '--replace',
    '--yes',
    // It is killed in the restore itself.
    '--no-safety-backup',
    ...more,
  ];

  beforeAll(async () => {
    server = await startServer();
    await createFleet(server, tenants.slice(0, 2));
    mkdirSync(join(server.folder, 'tmp'));
    at = { cwd: server.folder, env: { VIGIA_URL: server.url, TMPDIR: join(server.folder, 'tmp') } };
    file = writePipeline(server);
    await pgsiloOk(['backup', file], at);
    backedUp = { content: await contentOf(server, 'acme_db'), settings: await settingsOf(server, 'acme_db') };
    const began = Date.now();
    await pgsiloOk(replace('--drop-old'), at);
    length = Date.now() - began;
  });
  afterAll(async () => server?.stop());

  /**
   * The live database moves on, a restore is killed, and what it left is looked at before and after the next one.
   * Resolves with how many restores it took until one was killed.
   */
  const killAndLook = async (moment: string, kill: () => Promise<boolean>): Promise<number> => {
    await server.query(
      'acme_db',
      'DELETE FROM app.orders WHERE id <= 7; CREATE TABLE app.later AS SELECT 1 AS one',
    );
    const movedOn = await contentOf(server, 'acme_db');
    let tries = 1;
    for (; !(await kill()); tries += 1) {
      // It was quicker than the kill: what it has swapped in moves on as well.
      await server.query(
        'acme_db',
        'DELETE FROM app.orders WHERE id <= 7; CREATE TABLE app.later AS SELECT 1 AS one',
      );
    }
    await nothingRuns(server);

    const names = await server.databases();
    const working = names.filter((name) => /^pgsilo_restoring_[0-9a-f]{16}$/.test(name));
    const kept = names.filter((name) => name.startsWith('acme_db_before_'));
    expect(names.filter((name) => ![...working, ...kept].includes(name)), `${moment}`).toEqual(['acme_db', 'globex_db', 'postgres', 'vigia_master']); // prettier-ignore
    const live = await contentOf(server, 'acme_db');
    expect([movedOn, backedUp.content], `${moment}: neither as before nor swapped`).toContainEqual(live);
    const swapped = live.join() === backedUp.content.join();
    // Swapped: the old one is kept, or dropped because that was asked for. Not swapped: nothing is kept beside it.
    expect(kept.length, `${moment}`).toBeLessThanOrEqual(swapped ? 1 : 0);
    if (swapped) expect(working, `${moment}`).toEqual([]);
    for (const name of kept) expect(await contentOf(server, name), `${moment}`).toEqual(movedOn);
    expect(await settingsOf(server, 'acme_db'), `${moment}`).toEqual(backedUp.settings);

    await pgsiloOk(replace('--drop-old'), at);
    expect(await contentOf(server, 'acme_db'), `${moment}`).toEqual(backedUp.content);
    expect(await settingsOf(server, 'acme_db'), `${moment}`).toEqual(backedUp.settings);
    expect(await server.databases(), `${moment}`).toEqual([...new Set(['acme_db', 'globex_db', 'postgres', 'vigia_master', ...kept])].sort()); // prettier-ignore
    expect(entriesOf(at.env!['TMPDIR']!), `${moment}`).toEqual([]);
    for (const name of kept) await server.query('postgres', `DROP DATABASE "${name}"`);
    return tries;
  };

  const steps: readonly (Moment & { readonly title: string })[] = [
    { title: 'when the backup was fetched', does: 'says', what: 'fetch the backup', when: 'after' },
    { title: 'when it has asked for a database', does: 'sends', what: 'CREATE DATABASE', when: 'after' },
    { title: 'before the database is marked', does: 'sends', what: 'COMMENT ON DATABASE', when: 'before' },
    { title: 'when the database is there', does: 'says', what: 'create the database', when: 'after' },
    { title: 'when the data are restored', does: 'says', what: 'restore the data', when: 'after' },
    { title: 'when they are compared', does: 'says', what: 'compare with the fingerprint', when: 'after' },
    { title: 'when they are analyzed', does: 'says', what: 'analyze', when: 'after' },
    { title: 'before the swap', does: 'says', what: 'apply settings and grants', when: 'after' },
    { title: 'after the first rename', does: 'sends', what: 'RENAME TO', when: 'after' },
    { title: 'after the second rename', does: 'sends', what: 'RENAME TO', nth: 2, when: 'after' },
    { title: 'before the renames are committed', does: 'sends', what: 'COMMIT', when: 'before' },
    { title: 'when their COMMIT is on its way', does: 'sends', what: 'COMMIT', when: 'after' },
    {
      title: 'before the replaced one is dropped',
      does: 'says',
      what: 'swap with the live database',
      when: 'after',
    },
    { title: 'while the replaced one is dropped', does: 'sends', what: 'DROP DATABASE', when: 'after' },
  ];

  it.each(steps)(
    '$title has changed nothing or all, and the next one cleans up',
    { timeout: 180_000 },
    async (moment) => {
      const look = killAndLook(moment.title, async () => {
        const run = startPgsilo(replace('--drop-old'), { ...at, env: { ...at.env, ...dyingAt(moment) } });
        return (await run.result).exit === undefined;
      });
      await expect(look).resolves.toBe(1);
    },
  );

  it(
    'at any of 10 random moments has changed nothing or all, and the next one cleans up',
    { timeout: 600_000 },
    async () => {
      const random = randomFrom(seed);
      for (let n = 0; n < 10; n += 1) {
        let part = (n + random()) / 10;
        const moment = `kill ${n + 1} of 10 at ${Math.round(part * 100)} % of ${length} ms, seed ${seed}`;
        const look = killAndLook(moment, async () => {
          const run = startPgsilo(replace('--drop-old'), at);
          await sleep(part * length);
          run.kill('SIGKILL');
          part *= 0.9;
          return (await run.result).exit === undefined;
        });
        await expect(look).resolves.toBeGreaterThan(0);
      }
    },
  );
});
