import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { contentOf, settingsOf } from './services/equality.ts';
import { createFleet, oddTenant, tenants, writePipeline, type Tenant } from './services/fleet.ts';
import { dyingAt, nothingRuns, type Moment } from './services/moments.ts';
import { pgsilo, pgsiloOk, startPgsilo, type CallOptions, type Ended } from './services/pgsilo.ts';
import { startServer, type TestServer } from './services/server.ts';
import { filesIn } from './services/stored.ts';

const fleet: readonly Tenant[] = [...tenants.slice(0, 3), oddTenant].map((tenant) => ({
  ...tenant,
  rows: Math.min(tenant.rows, 200),
}));
const databases = [...fleet.map(({ database }) => database), 'vigia_master'];

const twoSinks = `  - { use: local, name: local, path: ./store/vigia }
  - { use: local, name: second, path: ./second/vigia }`;

interface Line {
  readonly unit: string;
  readonly status: string;
  readonly error?: { readonly code: string; readonly message: string; readonly hint?: string };
}

describe('restoring everything into another server', { timeout: 180_000 }, () => {
  let lost: TestServer;
  let fresh: TestServer;
  let at: CallOptions;
  let file: string;
  let early: string;
  const before = new Map<string, { content: string[]; settings: object }>();

  beforeAll(async () => {
    [lost, fresh] = await Promise.all([startServer(), startServer()]);
    await createFleet(lost, fleet);
    at = { cwd: lost.folder, env: { VIGIA_URL: lost.url, NEW: fresh.url } };
    file = writePipeline(lost, { sinks: twoSinks });
    // Umbrella is backed up once, and then leaves the registry; ghost is in it and has no database.
    await lost.query('postgres', 'CREATE DATABASE umbrella');
    await lost.query('umbrella', 'CREATE TABLE t (n int)');
    await lost.query(
      'vigia_master',
      `INSERT INTO clientes_saas VALUES ('umbrella', 'umbrella', 'demo'), ('ghost', 'ghost', 'demo')`,
    );
    await backUp();
    early = new Date().toISOString();
    await lost.query(
      'acme_db',
      'DELETE FROM app.orders WHERE id % 2 = 0; REFRESH MATERIALIZED VIEW app.totals',
    );
    await lost.query('vigia_master', `DELETE FROM clientes_saas WHERE subdominio = 'umbrella'`);
    await backUp();
    for (const name of databases)
      before.set(name, { content: await contentOf(lost, name), settings: await settingsOf(lost, name) });
  }, 180_000);
  afterAll(async () => {
    await Promise.all([lost?.stop(), fresh?.stop()]);
  });

  /** All but ghost. */
  const backUp = async (): Promise<void> => {
    const { exit, all } = await pgsilo(['backup', file], at);
    if (exit !== 1 || !/1 failed/.test(all)) throw new Error(all);
  };
  const restoreAll = (...more: string[]): Promise<Ended> =>
    pgsilo(['restore', file, '--all', '--to-server', 'env:NEW', '--json', ...more], at);
  const statuses = (ended: Ended): Record<string, string> =>
    Object.fromEntries(ended.json()['units'].map(({ unit, status }: Line) => [unit, status]));
  const lineOf = (ended: Ended, unit: string): Line =>
    ended.json()['units'].find((line: Line) => line.unit === unit);
  const allAre = (status: string, but: Record<string, string> = {}): Record<string, string> => ({
    '@globals': 'restored',
    vigia_master: status,
    ...Object.fromEntries(fleet.map(({ unit }) => [unit, status])),
    ghost: 'missing',
    ...but,
  });
  const drop = (name: string): Promise<unknown> =>
    fresh.query('postgres', `DROP DATABASE ${pg.escapeIdentifier(name)} WITH (FORCE)`);
  const expectWhole = async (names: readonly string[] = databases): Promise<void> => {
    expect(await fresh.databases()).toEqual([...names, 'postgres'].sort());
    for (const name of names) {
      expect([name, await contentOf(fresh, name)]).toEqual([name, before.get(name)!.content]);
      // The registry's grants are the built-in ones: before they are left out, after a restore spelled out.
      if (name !== 'vigia_master')
        expect([name, await settingsOf(fresh, name)]).toEqual([name, before.get(name)!.settings]);
    }
  };

  beforeEach(async () => {
    for (const name of await fresh.databases()) if (name !== 'postgres') await drop(name);
    file = writePipeline(lost, { sinks: twoSinks });
  });

  it('brings roles, registry and what the restored registry names; a tenant without a backup is named and stops nothing', async () => {
    const tells = { run: ['sh', '-c', 'echo "$PGSILO_HOOK $$PGSILO_STATUS" >> told'] };
    const hooks = JSON.stringify({ 'before-restore': [tells], 'after-restore': [tells] });
    writePipeline(lost, { sinks: twoSinks, more: `hooks: ${hooks}` });
    const ended = await restoreAll();
    expect(ended).toMatchObject({ exit: 1 });
    expect(ended.json()).toMatchObject({ pipeline: 'vigia', status: 'partial', failedHooks: [] });
    expect(statuses(ended)).toEqual(allAre('restored'));
    const units: Line[] = ended.json()['units'];
    expect(units.slice(0, 2).map(({ unit }) => unit)).toEqual(['@globals', 'vigia_master']);
    expect(lineOf(ended, 'ghost').error?.code).toBe('catalog.not-found');
    await expectWhole();
    expect(readFileSync(join(lost.folder, 'told'), 'utf8')).toMatch(
      /^before-restore .*\nafter-restore .*\n$/,
    );
    // Nothing on the lost server was touched.
    expect(await lost.databases()).toEqual([...databases, 'postgres', 'umbrella'].sort());

    // Once more: all is there and proved equal, and the one that somebody has changed is left alone and named.
    await fresh.query('globex_db', 'DELETE FROM app.customers WHERE id = 1');
    writePipeline(lost, { sinks: twoSinks });
    const again = await restoreAll();
    expect(again).toMatchObject({ exit: 1 });
    expect(statuses(again)).toEqual(allAre('present', { globex: 'failed' }));
    expect(lineOf(again, 'globex').error).toMatchObject({
      code: 'restore.target-exists',
      message: expect.stringMatching(/was left as it is:\n- .*customers/),
    });
    const text = await pgsilo(['restore', file, '--all', '--to-server', 'env:NEW'], at);
    expect(text).toMatchObject({ exit: 1 });
    expect(text.stdout).toContain('One after another: @globals, vigia_master');
    expect(text.stdout).toMatch(/1 unit restored, 4 there already, 1 without a backup, 1 failed in /);
    await drop('globex_db');
    await restoreAll();
    await expectWhole();
  });

  it('brings everything as it was at a time', async () => {
    const ended = await restoreAll('--before', early);
    expect(statuses(ended)).toMatchObject({ acme: 'restored', umbrella: 'restored', ghost: 'missing' });
    expect(await contentOf(fresh, 'acme_db')).not.toEqual(before.get('acme_db')!.content);
    const [row] = await fresh.query('acme_db', 'SELECT count(*)::int4 AS n FROM app.orders WHERE id % 2 = 0');
    expect(row!['n']).toBeGreaterThan(0);
  });

  const moments: readonly (Moment & { readonly title: string })[] = [
    { title: 'when one is being made', does: 'sends', what: 'COMMENT ON DATABASE', nth: 3, when: 'after' },
    { title: 'before one gets its name', does: 'sends', what: 'RENAME TO', nth: 2, when: 'before' },
    { title: 'when the registry is there', does: 'says', what: 'vigia_master: restored', when: 'after' },
  ];
  it.each(moments)('killed $title goes on at the next call', async (moment) => {
    const parameters = ['restore', file, '--all', '--to-server', 'env:NEW'];
    const run = startPgsilo(parameters, { ...at, env: { ...at.env, ...dyingAt(moment) } });
    expect((await run.result).exit).toBeUndefined();
    await nothingRuns(fresh);
    const left = await fresh.databases();
    const ended = await restoreAll();
    const done = databases.filter((name) => left.includes(name));
    expect(done.length).toBeLessThan(databases.length);
    const units = new Map(fleet.map(({ unit, database }) => [database, unit]));
    const present = Object.fromEntries(done.map((name) => [units.get(name) ?? name, 'present']));
    expect(statuses(ended)).toEqual(allAre('restored', present));
    await expectWhole();
  });

  it('interrupted says what was not begun, leaves nothing half done, and goes on', async () => {
    const moment: Moment = { does: 'says', what: 'vigia_master: restored', when: 'after', signal: 'SIGINT' };
    const env = { ...at.env, ...dyingAt(moment) };
    const run = await pgsilo(['restore', file, '--all', '--to-server', 'env:NEW', '--json'], { ...at, env });
    expect(run).toMatchObject({ exit: 130 });
    expect(run.json()).toMatchObject({ status: 'aborted', error: { code: 'aborted' } });
    expect((await fresh.databases()).filter((name) => name.startsWith('pgsilo'))).toEqual([]);
    await restoreAll();
    await expectWhole();
  });

  it('names a tenant whose backup is damaged, goes on with the others, and takes it from another sink', async () => {
    const folder = join(lost.folder, 'store');
    const { backups } = (await pgsiloOk(['list', file, 'globex', '--json'], at)).json();
    const dump = filesIn(folder).find((path) => path.includes(`/globex/${backups[0].backup}/database.dump`))!;
    const whole = readFileSync(join(folder, dump));
    writeFileSync(
      join(folder, dump),
      whole.map((byte, index) => (index === 500 ? byte ^ 1 : byte)),
    );
    try {
      const ended = await restoreAll();
      expect(ended).toMatchObject({ exit: 1 });
      expect(statuses(ended)).toEqual(allAre('restored', { globex: 'failed' }));
      expect(lineOf(ended, 'globex').error).toMatchObject({
        hint: expect.stringContaining('--from second'),
      });
      const again = await restoreAll('--from', 'second');
      expect(statuses(again)).toEqual(allAre('present', { globex: 'restored' }));
      await expectWhole();
    } finally {
      writeFileSync(join(folder, dump), whole);
    }
  });

  it('stops before anything when a sink is lost, and does without it when told to', async () => {
    const folder = join(lost.folder, 'second');
    renameSync(folder, `${folder}-lost`);
    writeFileSync(folder, 'no folder');
    try {
      const ended = await restoreAll();
      expect(ended).toMatchObject({ exit: 3 });
      expect(ended.json()['error']).toMatchObject({ hint: expect.stringContaining('--from') });
      expect(await fresh.databases()).toEqual(['postgres']);
      expect(statuses(await restoreAll('--from', 'local'))).toEqual(allAre('restored'));
    } finally {
      rmSync(folder);
      renameSync(`${folder}-lost`, folder);
    }
  });

  it('stops where the registry cannot be restored, says how to go on, and goes on', async () => {
    const paths = ['store', 'second'].map((name) =>
      join(lost.folder, name, 'vigia/vigia/units/vigia_master'),
    );
    for (const path of paths) renameSync(path, `${path}-hidden`);
    const ended = await restoreAll();
    for (const path of paths) renameSync(`${path}-hidden`, path);
    expect(ended).toMatchObject({ exit: 1 });
    expect(statuses(ended)).toEqual({ '@globals': 'restored', vigia_master: 'missing' });
    expect(ended.json()['error'].message).toContain('"vigia_master" was not restored');
    expect(await fresh.databases()).toEqual(['postgres']);
    await pgsiloOk(['restore', file, 'vigia_master', '--to', 'vigia_master', '--to-server', 'env:NEW'], at);
    expect(statuses(await restoreAll())).toEqual(allAre('restored', { vigia_master: 'present' }));
  });

  it.each([
    ['by patterns', 'match: ["*_db", Initech]'],
    ['by a list', 'databases: [acme_db, globex_db, Initech]'],
  ])('knows the tenants %s', async (_how, rule) => {
    file = writePipeline(lost, { name: `rule-${rule.slice(0, 5)}` });
    const path = join(lost.folder, file);
    const written = readFileSync(path, 'utf8').replace(
      / {2}registry:[^]*?(?=\n\n|\ntransforms)/,
      `  ${rule}\n  uncovered: ignore`,
    );
    expect(written).not.toContain('query');
    writeFileSync(path, written);
    await pgsiloOk(['backup', file], at);
    const ended = await restoreAll();
    expect(ended).toMatchObject({ exit: 0 });
    expect(statuses(ended)).toEqual({
      '@globals': 'restored',
      acme_db: 'restored',
      globex_db: 'restored',
      Initech: 'restored',
    });
    await expectWhole(['acme_db', 'globex_db', 'Initech']);
    expect(await restoreAll()).toMatchObject({ exit: 0 });
  });

  it('brings a whole server', async () => {
    file = 'whole.yaml';
    // pg_dumpall cannot dump a database with a newline in its name.
    await lost.query('postgres', `DROP DATABASE ${pg.escapeIdentifier(oddTenant.database)}`);
    writeFileSync(
      join(lost.folder, file),
      `pipeline: whole
source: { use: dumpall, connection: "\${env:VIGIA_URL}" }
transforms: [{ use: zstd }]
sinks: [{ use: local, path: ./store/whole }]
`,
    );
    await pgsiloOk(['backup', file], at);
    const ended = await restoreAll();
    expect(ended).toMatchObject({ exit: 0 });
    expect(statuses(ended)).toEqual({ '@cluster': 'restored' });
    for (const name of databases.filter((each) => each !== oddTenant.database))
      expect([name, await contentOf(fresh, name)]).toEqual([name, before.get(name)!.content]);
  });

  it.each([
    [['--all'], '--all is given without --to-server'],
    [['--all', '--to-server', 'env:NEW', '--replace'], '--all and --replace exclude each other'],
    [['acme', '--all', '--to-server', 'env:NEW'], '--all is given with a unit'],
    [[], 'no unit is named'],
  ])('refuses %j', async (parameters, message) => {
    const ended = await pgsilo(['restore', file, ...parameters, '--json'], at);
    expect(ended).toMatchObject({ exit: 2 });
    expect(ended.json()['error']).toMatchObject({ code: 'usage.invalid', message });
  });
});
