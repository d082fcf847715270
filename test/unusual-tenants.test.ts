import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busySql, lawsSql, startWriter } from './services/busy-writer.ts';
import { databaseStateOf } from './services/database-state.ts';
import { writePipeline } from './services/fleet.ts';
import { pgsilo, pgsiloOk, type CallOptions, type Ended } from './services/pgsilo.ts';
import { startServer, until, type TestServer } from './services/server.ts';
import { byteNamedTenants } from './services/unusual-encodings.ts';
import { createUnusual, createUnusualFleet, unusualTenants } from './services/unusual-tenants.ts';

/** Milliseconds for what thousands of tables take on a busy machine. */
const generous = 240_000;

let server: TestServer;
let at: CallOptions;
beforeAll(async () => {
  server = await startServer();
  at = { cwd: server.folder, env: { VIGIA_URL: server.url } };
  await createUnusualFleet(server, unusualTenants);
}, generous);
afterAll(async () => server?.stop());

const unitsOf = (run: Ended): any[] => run.json<any>()['runs'][0].report.units;

describe('an unusual tenant', () => {
  let file: string;
  let first: Ended;

  beforeAll(async () => {
    file = writePipeline(server, { source: '  fingerprint: content' });
    first = await pgsilo(['backup', file, '--json'], at);
  }, generous);

  it('is backed up in one run with the others', () => {
    expect(unitsOf(first).filter((unit) => unit.status !== 'good')).toEqual([]);
    expect(unitsOf(first)).toHaveLength(unusualTenants.length + 2);
    expect(first.exit).toBe(0);
  });

  it('is verified at level decode', async () => {
    const report = (await pgsiloOk(['verify', file, '--level', 'decode', '--json'], at)).json<any>();
    expect(report['status']).toBe('ok');
    expect(report['checked']).toHaveLength(unusualTenants.length + 2);
  });

  it.each(unusualTenants)('comes back equal: $name', { timeout: generous }, async ({ name, compared }) => {
    const restored = (await pgsiloOk(['restore', file, name, '--json'], at)).json<any>();
    expect(restored['compared']).toMatch(compared);
    expect(await databaseStateOf(server, restored['target'])).toEqual(await databaseStateOf(server, name));
  });
});

describe('a tenant whose names are no text', () => {
  beforeAll(async () => {
    for (const tenant of byteNamedTenants) await createUnusual(server, tenant);
  });
  const only = byteNamedTenants.flatMap(({ name }) => ['--only', name]);

  it('fails alone, and is told how it can be backed up', async () => {
    const file = writePipeline(server, { name: 'counted', source: '  fingerprint: content' });
    const result = await pgsilo(['backup', file, '--json', '--only', 'empty', ...only], at);
    expect(result.exit).toBe(1);
    const failed = unitsOf(result).filter((unit) => unit.status === 'failed');
    expect(failed.map(({ unit }) => unit).toSorted()).toEqual(
      byteNamedTenants.map(({ name }) => name).toSorted(),
    );
    for (const { error } of failed)
      expect(error).toMatchObject({
        code: 'source.failed',
        hint: expect.stringContaining('fingerprint: none'),
      });
  });

  it.each(byteNamedTenants)(
    'comes back equal without a fingerprint: $name',
    { timeout: generous },
    async ({ name, compared }) => {
      const file = writePipeline(server, { name: 'uncounted', source: '  fingerprint: none' });
      await pgsiloOk(['backup', file, '--only', name], at);
      await pgsiloOk(['verify', file, name, '--level', 'decode'], at);
      const restored = (await pgsiloOk(['restore', file, name, '--json'], at)).json<any>();
      expect(restored['compared']).toMatch(compared);
      expect(await databaseStateOf(server, restored['target'])).toEqual(await databaseStateOf(server, name));
    },
  );
});

describe('a tenant whose row-level security hides rows from the role that backs up', () => {
  it(
    'fails alone rather than with fewer rows, and nothing of it is listed',
    { timeout: generous },
    async () => {
      await server.query(
        'postgres',
        `CREATE ROLE reader LOGIN PASSWORD 'reader-pw' IN ROLE pg_read_all_data`,
      );
      const url = server.url.replace(`postgres:${server.password}`, 'reader:reader-pw');
      const reader = { ...at, env: { VIGIA_URL: url } };
      for (const fingerprint of ['counts', 'none']) {
        const file = writePipeline(server, {
          name: `reader-${fingerprint}`,
          source: `  fingerprint: ${fingerprint}`,
        });
        const chosen = ['--only', 'row security', '--only', 'empty'];
        const result = await pgsilo(['backup', file, '--json', ...chosen], reader);
        expect(result.exit).toBe(1);
        const units = unitsOf(result).map(({ unit, status }) => [unit, status]);
        expect(units.toSorted()).toEqual([
          ['empty', 'good'],
          ['row security', 'failed'],
        ]);
        expect(unitsOf(result).find(({ unit }) => unit === 'row security').error.message).toMatch(
          /row-level security/,
        );
        const { backups } = (await pgsiloOk(['list', file, '--json'], reader)).json<{ backups: any[] }>();
        expect(backups.map(({ unit }) => unit)).toEqual(['empty']);
      }
    },
  );
});

describe('a tenant that is written to all the time', () => {
  it(
    'is backed up again and again without a false alarm, each time as it was at one moment',
    async () => {
      const seed = Date.now() % 1_000_000;
      const file = writePipeline(server, { name: 'busy', source: '  fingerprint: content' });
      await createUnusual(server, { name: 'busy', sql: [busySql], compared: /./ });
      const writers = await Promise.all([1, 2].map((each) => startWriter(server, 'busy', seed + each)));
      const committed = (): number => writers.reduce((sum, writer) => sum + writer.committed(), 0);
      try {
        for (let turn = 0; turn < 4; turn += 1) {
          const then = committed();
          await until('the writers have written more', () => committed() > then + 50);
          const run = await pgsiloOk(['backup', file, '--only', 'busy', '--json'], at);
          expect(unitsOf(run), `seed ${seed}`).toMatchObject([{ status: 'good', attempts: 1 }]);
        }
      } finally {
        for (const writer of writers) await writer.stop();
      }
      await pgsiloOk(['verify', file, 'busy', '--level', 'decode'], at);
      const { backups } = (await pgsiloOk(['list', file, 'busy', '--json'], at)).json<{ backups: any[] }>();
      const seen = new Set<number>();
      for (const { backup } of backups) {
        const to = `busy ${backup}`;
        await pgsiloOk(['restore', file, 'busy', '--backup', backup, '--to', to], at);
        const shown = (await pgsiloOk(['show', file, 'busy', backup, '--json'], at)).json<any>();
        const [laws] = await server.query(to, lawsSql);
        expect(laws, `seed ${seed}`).toMatchObject({
          sum: 0,
          counter: laws!['ledger'],
          rows: shown['manifest'].about.rows,
        });
        seen.add(laws!['ledger']);
      }
      expect(seen.size, 'the writers stood still').toBe(4);
    },
    generous,
  );
});
