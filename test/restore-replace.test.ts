import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { contentOf, settingsOf, textOf } from './services/equality.ts';
import { createFleet, tenants, writePipeline } from './services/fleet.ts';
import { pgsilo, pgsiloOk, type CallOptions } from './services/pgsilo.ts';
import { startServer, type TestServer } from './services/server.ts';

describe('putting a backup in place of the live database', () => {
  let server: TestServer;
  let at: CallOptions;
  let file: string;
  let text: string;
  let settings: object;

  beforeAll(async () => {
    server = await startServer();
    await createFleet(server, tenants.slice(0, 2));
    at = { cwd: server.folder, env: { VIGIA_URL: server.url } };
    file = writePipeline(server);
    [text, settings] = [await textOf(server, 'acme_db'), await settingsOf(server, 'acme_db')];
    await pgsiloOk(['backup', file], at);
  });
  afterAll(async () => server?.stop());

  const expectWhole = async (): Promise<void> => {
    expect(await textOf(server, 'acme_db')).toBe(text);
    expect(await settingsOf(server, 'acme_db')).toEqual(settings);
  };

  it('is refused without a terminal and without --yes', async () => {
    await server.query('acme_db', 'DELETE FROM app.orders WHERE id = 1');
    const result = await pgsilo(['restore', file, 'acme', '--replace'], at);
    expect(result.exit).toBe(2);
    expect(result.stderr).toContain('--yes');
    expect(await server.databases()).toEqual(['acme_db', 'globex_db', 'postgres', 'vigia_master']);
  });

  it('works under clients that come back at once, and keeps the old one', async () => {
    await server.query('acme_db', 'DELETE FROM app.customers');
    const damaged = await contentOf(server, 'acme_db');
    const clients = new Clients(server);
    clients.start(6);
    await sleep(300);
    const report = (
      await pgsiloOk(['restore', file, 'acme', '--replace', '--yes', '--json'], at)
    ).json<any>();
    await sleep(300);
    const { reads, torn } = await clients.stop();
    expect(report).toMatchObject({ target: 'acme_db' });
    expect(report['kept']).toMatch(/^acme_db_before_/);
    await expectWhole();
    expect(await contentOf(server, report['kept'])).toEqual(damaged);
    // Each client saw the old state, was cut off, then saw the new one; never a mixture, never an empty database.
    expect(torn).toEqual([]);
    expect(reads.old).toBeGreaterThan(0);
    expect(reads.fresh).toBeGreaterThan(0);
    await server.query('postgres', `DROP DATABASE "${report['kept']}"`);
  }, 60_000);

  it('drops the old one with --drop-old', async () => {
    await server.query('acme_db', 'TRUNCATE app.orders');
    const report = (
      await pgsiloOk(['restore', file, 'acme', '--replace', '--drop-old', '--yes', '--json'], at)
    ).json<any>();
    expect(report).not.toHaveProperty('kept');
    await expectWhole();
    expect(await server.databases()).toEqual(['acme_db', 'globex_db', 'postgres', 'vigia_master']);
  });

  it('takes the place of a database that was dropped', async () => {
    await server.query('postgres', 'DROP DATABASE acme_db');
    const { all } = await pgsiloOk(['restore', file, 'acme', '--replace', '--yes'], at);
    expect(all).not.toContain('acme_db_before');
    await expectWhole();
  });

  it('leaves the live one alone when the restore fails', async () => {
    const before = await textOf(server, 'globex_db');
    const transaction = await server.session('globex_db');
    await server.query('postgres', 'ALTER DATABASE globex_db CONNECTION LIMIT 50');
    try {
      // A backup whose role is gone by now: found before anything is written.
      await server.query('postgres', 'CREATE ROLE passing; GRANT CREATE ON DATABASE globex_db TO passing');
      await server.query('globex_db', 'GRANT SELECT ON app.orders TO passing');
      await pgsiloOk(['backup', file, '--only', 'globex'], at);
      await server.query('globex_db', 'REVOKE SELECT ON app.orders FROM passing');
      await server.query('postgres', 'REVOKE CREATE ON DATABASE globex_db FROM passing');
      await server.query('postgres', 'DROP ROLE passing');
      const result = await pgsilo(['restore', file, 'globex', '--replace', '--yes'], at);
      expect(result.exit).toBe(3);
      expect(result.stderr).toContain('passing');
      expect(await textOf(server, 'globex_db')).toBe(before);
      expect(await transaction.query('SELECT 1')).toMatchObject({ rowCount: 1 });
      expect(await server.databases()).toEqual(['acme_db', 'globex_db', 'postgres', 'vigia_master']);
    } finally {
      await transaction.end();
    }
  });
});

/** Clients that read all the time and connect again as soon as they are cut off. */
class Clients {
  readonly #server: TestServer;
  readonly #reads = { old: 0, fresh: 0 };
  readonly #torn: string[] = [];
  #going = true;
  #loops: Promise<void>[] = [];

  constructor(server: TestServer) {
    this.#server = server;
  }

  start(count: number): void {
    this.#loops = Array.from({ length: count }, () => this.#loop());
  }

  async stop(): Promise<{ reads: { old: number; fresh: number }; torn: string[] }> {
    this.#going = false;
    await Promise.all(this.#loops);
    return { reads: this.#reads, torn: this.#torn };
  }

  async #loop(): Promise<void> {
    let client: pg.Client | undefined;
    while (this.#going) {
      try {
        client ??= await this.#server.session('acme_db');
        const { rows } = await client.query(
          'SELECT (SELECT count(*) FROM app.customers) AS customers, (SELECT count(*) FROM app.events) AS events',
        );
        const { customers, events } = rows[0];
        if (events !== '3000' || !['0', '300'].includes(customers))
          this.#torn.push(`${customers} customers, ${events} events`);
        else if (customers === '0') this.#reads.old += 1;
        else this.#reads.fresh += 1;
        await sleep(5);
      } catch (error) {
        const text = (error as Error).message;
        if (/relation .* does not exist|schema .* does not exist/.test(text)) this.#torn.push(text);
        await client?.end().catch(() => undefined);
        client = undefined;
        await sleep(5);
      }
    }
    await client?.end().catch(() => undefined);
  }
}
