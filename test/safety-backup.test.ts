import { cpSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { contentOf } from './services/equality.ts';
import { createFleet, tenants, writePipeline } from './services/fleet.ts';
import { dyingAt } from './services/moments.ts';
import { pgsilo, pgsiloOk, startPgsilo, type CallOptions, type Ended } from './services/pgsilo.ts';
import { startServer, until, type TestServer } from './services/server.ts';
import { listed } from './services/stored.ts';

const others = ['globex_db', 'postgres', 'vigia_master'];

describe('the backup of what a restore replaces', { timeout: 120_000 }, () => {
  let server: TestServer;
  let at: CallOptions;
  let file: string;
  /** The one backup that was asked for. */
  let nightly: string;
  let good: string[];

  beforeAll(async () => {
    server = await startServer();
    await createFleet(server, tenants.slice(0, 2));
    at = { cwd: server.folder, env: { VIGIA_URL: server.url } };
    file = writePipeline(server);
    await pgsiloOk(['backup', file], at);
    const { backups } = (await pgsiloOk(['list', file, 'acme', '--json'], at)).json();
    nightly = backups[0].backup;
    good = await contentOf(server, 'acme_db');
    cpSync(join(server.folder, 'store'), join(server.folder, 'kept'), { recursive: true });
  });
  afterAll(async () => server?.stop());

  // Each test finds one backup of acme, and a live database that is not what it holds.
  beforeEach(async () => {
    rmSync(join(server.folder, 'store'), { recursive: true });
    cpSync(join(server.folder, 'kept'), join(server.folder, 'store'), { recursive: true });
    file = writePipeline(server);
    for (const name of await server.databases())
      if (name.startsWith('acme_db_before') || name === 'copy')
        await server.query('postgres', `DROP DATABASE "${name}"`);
    await server.query(
      'acme_db',
      'DELETE FROM app.orders WHERE id % 7 = 0; REFRESH MATERIALIZED VIEW app.totals',
    );
  });

  const replace = (...more: string[]): Promise<Ended> =>
    pgsilo(['restore', file, 'acme', '--replace', '--yes', '--json', ...more], at);

  /** It refused, and neither the server nor the sinks are another than before. */
  const expectUntouched = async (live: string[], what: () => Promise<Ended>, exit = 3): Promise<Ended> => {
    const ended = await what();
    expect(ended).toMatchObject({ exit });
    expect(await contentOf(server, 'acme_db')).toEqual(live);
    expect(await server.databases()).toEqual(['acme_db', ...others]);
    return ended;
  };

  const expectNone = async (unit: string, sink: string): Promise<void> => {
    const ended = await pgsilo(['list', file, unit, '--sink', sink, '--json'], at);
    expect(ended.json()['error']).toMatchObject({ code: 'catalog.not-found' });
  };

  it('is made before anything else, says why, and holds what was live', async () => {
    const live = await contentOf(server, 'acme_db');
    expect(live).not.toEqual(good);
    const ended = await replace();
    expect(ended).toMatchObject({ exit: 0 });
    const report = ended.json();
    expect(report).toMatchObject({ backup: nightly, safetyBackup: { sinks: ['local'], missingFrom: [] } });
    expect(report['plan'][0]).toContain('Back up "acme" as it is now');
    const names = report['steps'].map(({ name }: { name: string }) => name);
    expect(names.indexOf('back up what will be replaced')).toBeLessThan(names.indexOf('create the database'));
    expect(await contentOf(server, 'acme_db')).toEqual(good);

    const { backup } = report['safetyBackup'];
    expect(backup > nightly).toBe(true);
    const { backups } = (await pgsiloOk(['list', file, 'acme', '--json'], at)).json();
    expect(backups.map((each: { backup: string }) => each.backup)).toEqual([backup, nightly]);
    expect(backups[0].labels).toEqual({ reason: 'before-restore' });
    expect(backups[1].labels).toEqual({});
    expect((await pgsiloOk(['list', file, 'acme'], at)).stdout).toContain('good, before a restore');
    // Only what was replaced was backed up.
    expect(await listed(file, at)).toEqual(expect.arrayContaining(['globex', '@globals']));
    const all = (await pgsiloOk(['list', file, '--json'], at)).json()['backups'];
    expect(all.filter((each: any) => each.run === backups[0].run)).toHaveLength(1);

    await pgsiloOk(['restore', file, 'acme', '--backup', backup, '--to', 'copy'], at);
    expect(await contentOf(server, 'copy')).toEqual(live);
  });

  it('is not what the next restore takes, unless it is named', async () => {
    const first = (await replace()).json();
    await server.query('acme_db', 'TRUNCATE app.orders');
    const again = await replace();
    expect(again.json()).toMatchObject({ backup: nightly });
    expect(again.json()['plan'][0]).toBe(
      `Pass over ${first['safetyBackup'].backup}, which is newer and holds what an earlier restore replaced; to have that back: --backup ${first['safetyBackup'].backup}`,
    );
    expect(await contentOf(server, 'acme_db')).toEqual(good);

    const beside = (await pgsiloOk(['restore', file, 'acme', '--to', 'copy', '--json', '--before', new Date().toISOString()], at)).json(); // prettier-ignore
    expect(beside).toMatchObject({ backup: nightly });
    expect(beside['plan'][0]).toContain('Pass over 2 newer backups');
    expect((await pgsiloOk(['show', file, 'acme', '--json'], at)).json()['manifest'].backup).toBe(nightly);

    const back = (await replace('--backup', first['safetyBackup'].backup)).json();
    expect(back).toMatchObject({ backup: first['safetyBackup'].backup });
    expect(await contentOf(server, 'acme_db')).not.toEqual(good);
  });

  it('is named when it is all that is left, and then not taken without being asked for', async () => {
    const { safetyBackup } = (await replace()).json();
    rmSync(join(server.folder, 'store/vigia/vigia/units/acme', nightly), { recursive: true });
    const ended = await replace();
    expect(ended.exit).toBe(1);
    expect(ended.json()['error']).toMatchObject({ code: 'catalog.not-found', hint: expect.stringContaining(`--backup ${safetyBackup.backup}`) }); // prettier-ignore
    expect(await contentOf(server, 'acme_db')).toEqual(good);
  });

  it('is left out with --no-safety-backup, and where nothing is replaced', async () => {
    const report = (await replace('--no-safety-backup')).json();
    expect(report).not.toHaveProperty('safetyBackup');
    expect(report['kept']).toMatch(/^acme_db_before_/);
    await server.query('postgres', 'DROP DATABASE acme_db');
    expect((await replace()).json()).not.toHaveProperty('safetyBackup');
    await pgsiloOk(['restore', file, 'acme', '--to', 'copy'], at);
    const { backups } = (await pgsiloOk(['list', file, 'acme', '--json'], at)).json();
    expect(backups).toHaveLength(1);
    expect(await contentOf(server, 'acme_db')).toEqual(good);
  });

  describe('when it fails, the restore does not begin, and the way without it is told:', () => {
    /** What went wrong, of an error that offers the way without. */
    const offerOf = (ended: Ended): string => {
      const { error } = ended.json();
      return error.code === 'restore.safety-backup-failed' && error.hint.includes('--no-safety-backup')
        ? error.message
        : `another error: ${ended.stdout}`;
    };

    it('the tenant is no longer in the registry', async () => {
      await server.query(
        'vigia_master',
        `UPDATE clientes_saas SET is_active = false WHERE subdominio = 'acme'`,
      );
      try {
        expect(offerOf(await expectUntouched(await contentOf(server, 'acme_db'), replace))).toContain(
          'has no unit "acme"',
        );
        expect((await replace('--no-safety-backup')).exit).toBe(0);
        expect(await contentOf(server, 'acme_db')).toEqual(good);
      } finally {
        await server.query('vigia_master', 'UPDATE clientes_saas SET is_active = true');
      }
    });

    it('the registry says that the tenant lives elsewhere', async () => {
      await server.query('vigia_master', `UPDATE clientes_saas SET db_name = 'gone' WHERE subdominio = 'globex'; UPDATE clientes_saas SET db_name = 'globex_db' WHERE subdominio = 'acme'`); // prettier-ignore
      try {
        expect(offerOf(await expectUntouched(await contentOf(server, 'acme_db'), replace))).toContain(
          '"database":"globex_db"',
        );
      } finally {
        await server.query('vigia_master', `UPDATE clientes_saas SET db_name = 'acme_db' WHERE subdominio = 'acme'; UPDATE clientes_saas SET db_name = 'globex_db' WHERE subdominio = 'globex'`); // prettier-ignore
      }
    });

    it('a table of the live database has lost its file', async () => {
      await server.query(
        'acme_db',
        'CREATE TABLE app.broken AS SELECT generate_series(1, 100) AS n; CHECKPOINT',
      );
      const [row] = await server.query('acme_db', `SELECT current_setting('data_directory') || '/' || pg_relation_filepath('app.broken') AS path`); // prettier-ignore
      unlinkSync(row!['path']);
      expect(offerOf(await replace())).toContain('could not open file');
      expect(await server.databases()).toEqual(['acme_db', ...others]);
      const mended = await replace('--no-safety-backup', '--drop-old');
      expect(mended).toMatchObject({ exit: 0 });
      expect(await contentOf(server, 'acme_db')).toEqual(good);
    });

    it('a run of the pipeline is going on', async () => {
      writePipeline(server, { more: `hooks: { before-backup: [{ run: [sleep, "60"] }] }` });
      const run = startPgsilo(['backup', file], at);
      try {
        await until('the run holds the lock', () => run.said().includes('before-backup: sleep'));
        writePipeline(server);
        expect(offerOf(await expectUntouched(await contentOf(server, 'acme_db'), replace))).toContain(
          'is being run already',
        );
      } finally {
        run.kill('SIGINT');
        expect((await run.result).exit).toBe(130);
      }
    });

    it('no sink takes it', async () => {
      const sink = join(import.meta.dirname, 'fixtures', 'full-sink.ts');
      writePipeline(server, {
        sinks: `  - { use: ${sink}, name: full }
  - { use: local, path: ./store/vigia, accept: [monthly] }`,
      });
      const live = await contentOf(server, 'acme_db');
      expect(offerOf(await expectUntouched(live, replace))).toContain('no room for');
    });

    it('what is replaced stands on another server', async () => {
      const env = { ...at.env, ELSEWHERE: server.url };
      const elsewhere = (): Promise<Ended> =>
        pgsilo(['restore', file, 'acme', '--replace', '--yes', '--json', '--to-server', 'env:ELSEWHERE'], { ...at, env }); // prettier-ignore
      expect(offerOf(await expectUntouched(await contentOf(server, 'acme_db'), elsewhere))).toContain(
        'of its own server only',
      );
    });
  });

  it('goes to every sink but those that keep one for each period; one sink that is lost is told of', async () => {
    await pgsiloOk(['backup', file, '--only', 'globex'], at);
    writePipeline(server, {
      sinks: `  - { use: local, name: lost, path: ./lost/deep }
  - { use: local, name: local, path: ./store/vigia }
  - { use: local, name: archive, path: ./archive, accept: [monthly] }`,
    });
    writeFileSync(join(server.folder, 'lost'), 'a file where the folder should be');
    const ended = await replace('--from', 'local');
    expect(ended).toMatchObject({ exit: 0 });
    expect(ended.json()).toMatchObject({
      sink: 'local',
      safetyBackup: { sinks: ['local'], missingFrom: ['lost'] },
    });
    expect(ended.json()['warnings'].join()).toContain('is not in sink lost');
    expect(await contentOf(server, 'acme_db')).toEqual(good);

    rmSync(join(server.folder, 'lost'));
    await expectNone('acme', 'archive');
    // Not even when it is the only one of its month.
    rmSync(join(server.folder, 'store/vigia/vigia/units/acme', nightly), { recursive: true });
    await pgsiloOk(['copy', file, '--from', 'local', '--to', 'archive'], at);
    await expectNone('acme', 'archive');
    await pgsiloOk(['list', file, 'globex', '--sink', 'archive'], at);
  });

  it('that is interrupted leaves the live one as it is', async () => {
    const live = await contentOf(server, 'acme_db');
    const moment = {
      does: 'publishes',
      what: 'units/acme/.*database',
      when: 'before',
      signal: 'SIGINT',
    } as const;
    const interrupted = (): Promise<Ended> =>
      pgsilo(['restore', file, 'acme', '--replace', '--yes'], {
        ...at,
        env: { ...at.env, ...dyingAt(moment) },
      });
    await expectUntouched(live, interrupted, 130);
    expect((await pgsiloOk(['list', file, 'acme', '--json'], at)).json()['backups']).toHaveLength(1);
  });
});
