import { serveFolder } from '@pgsilo/testkit/postgres';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mayReadCheckout } from './services/checkout.ts';
import { pgsilo, pgsiloOk } from './services/pgsilo.ts';
import { availablePostgres, installPostgres } from './services/postgres.ts';
import { until } from './services/server.ts';
import { application, hostileName, makeTwoTimelines, type TwoTimelines } from './services/two-timelines.ts';

const system = (await availablePostgres())[0]!;
const wanted = [system, await installPostgres(18)];
const versions = wanted.filter(({ major }, index) => index === 0 || major !== system.major);

interface Started {
  readonly pid: number;
  readonly port: number;
  readonly socketFolder: string;
  readonly log: string;
  readonly files: number;
  readonly end: {
    readonly timeline: number;
    readonly lsn: string;
    readonly why: string;
    readonly lastTransaction?: string;
    readonly goesOnAs: number;
  };
}

// Each stands on those before it.
describe.each(versions)(
  'a restored server of PostgreSQL $major that is started',
  { timeout: 180_000 },
  (programs) => {
    let scene: TwoTimelines;
    const file = 'files.yaml';
    const bin = 'bin' in programs ? programs.bin : '';
    const running = new Set<number>();
    const end = async (pid: number): Promise<void> => {
      process.kill(pid, 'SIGINT');
      running.delete(pid);
      await until('it has ended', () => !existsSync(`/proc/${pid}`));
    };
    const rowsAt = async ({
      socketFolder,
      port,
    }: Pick<Started, 'socketFolder' | 'port'>): Promise<Record<string, unknown>[]> => {
      const { user, password } = scene.server;
      const client = new pg.Client({ host: socketFolder, port, user, password, database: application });
      await client.connect();
      try {
        return (
          await client.query(
            `SELECT name, pg_is_in_recovery() AS recovering, current_setting('archive_mode') AS archiving, pg_walfile_name(pg_current_wal_lsn()) AS segment FROM steps`,
          )
        ).rows;
      } finally {
        await client.end();
      }
    };
    const start = async (to: string, ...goal: string[]): Promise<Started> => {
      const restored = await pgsiloOk(
        ['restore', file, '@cluster', ...goal, '--to', join(scene.folder, to), '--start', '--json'],
        scene.at,
      );
      const { server } = restored.json() as { server: Started };
      running.add(server.pid);
      return server;
    };

    beforeAll(async () => {
      scene = await makeTwoTimelines(bin);
    }, 120_000);
    afterAll(async () => {
      for (const pid of running) await end(pid);
      await scene?.stop();
    });

    it('is left running at its goal, and pgsilo says where it stopped', async () => {
      const server = await start('named', '--restore-point', hostileName);
      expect(server).toMatchObject({
        socketFolder: join(scene.folder, 'named'),
        end: { timeline: 1, why: `at restore point "${hostileName}"`, goesOnAs: 3 },
      });
      const rows = await rowsAt(server);
      expect(rows.map(({ name }) => name)).toEqual(['start', 'one', 'two', 'three']);
      expect(rows[0]).toMatchObject({ recovering: false, archiving: 'off' });
      expect(rows[0]!['segment']).toMatch(/^00000003/);
      // The position is the server's own: that of the last record before the new timeline.
      const [row] = await scene.server.query<{ behind: boolean }>(
        'postgres',
        `SELECT '${server.end.lsn}'::pg_lsn > '${scene.lsn}'::pg_lsn AS behind`,
      );
      expect(row!.behind).toBe(true);
      expect(
        Math.abs(Date.now() - Date.parse(server.end.lastTransaction!.replace(/ UTC$|\+00$/, 'Z'))),
      ).toBeLessThan(600_000);
      // It is the folder's owner's, needs neither pgsilo nor its pipeline file, and nothing of the way is left.
      const data = server.socketFolder;
      const owner = statSync(data).uid;
      expect(statSync(`/proc/${server.pid}`).uid).toBe(owner);
      expect(statSync(server.log)).toMatchObject({ uid: owner });
      expect(existsSync(join(data, 'pgsilo-log'))).toBe(false);
      expect(readFileSync(`/proc/${server.pid}/environ`, 'utf8')).not.toContain('HOME=');
      await end(server.pid);
    });

    it('is at the end of the backup, or of what was archived on the newer timeline', async () => {
      const before = await start('end', '--backup', scene.backups.first);
      expect((await rowsAt(before)).map(({ name }) => name)).toEqual(['start']);
      expect(before).toMatchObject({ files: 0, end: { timeline: 1 } });
      const latest = await start('latest', '--latest');
      expect((await rowsAt(latest)).map(({ name }) => name)).toEqual([
        'start',
        'one',
        'two',
        'three',
        'four',
        'new',
      ]);
      expect(latest.end).toMatchObject({ timeline: 2, goesOnAs: 3 });
      expect(latest.files).toBeGreaterThan(2);
    });

    // What follows is pgsilo's own, whatever the version.
    if (programs.major !== system.major) return;

    it('says for people where it is and where it stopped', async () => {
      const to = join(scene.folder, 'told');
      const { stdout } = await pgsiloOk(
        [
          'restore',
          file,
          '@cluster',
          '--xid',
          scene.xid,
          '--backup',
          scene.backups.first,
          '--to',
          to,
          '--start',
        ],
        scene.at,
      );
      const pid = Number(readFileSync(join(to, 'postmaster.pid'), 'utf8').split('\n')[0]);
      running.add(pid);
      const text = stdout.replaceAll(/\s+/g, ' ');
      expect(text).toContain(`after transaction ${scene.xid}`);
      expect(text).toMatch(/timeline 1 at 0\/[0-9A-F]+, after transaction/);
      expect(text).toContain(`psql -h ${to} -p 5432`);
    });

    it('ends where what was archived does not reach, says how far that goes, and leaves the files', async () => {
      const to = join(scene.folder, 'late');
      const late = new Date(Date.now() + 3_600_000).toISOString();
      const { exit, stderr } = await pgsilo(
        ['restore', file, '@cluster', '--at', late, '--to', to, '--start'],
        scene.at,
      );
      expect(exit).toBe(1);
      const text = stderr.replaceAll(/\s+/g, ' ');
      expect(text).toMatch(
        /does not reach \S+: it goes up to 0\/[0-9A-F]+, and the last transaction in it is of 20\d\d-/,
      );
      expect(text).toContain(`its restored files are in ${to}`);
      expect(existsSync(join(to, 'postmaster.pid'))).toBe(false);
      expect(existsSync(join(to, 'global/pg_control'))).toBe(true);
      expect(existsSync(join(to, 'pgsilo-log'))).toBe(false);
      // They go on as the message says.
      if (!mayReadCheckout()) return;
      execFileSync('sed', ['-i', '/^recovery_target/d', join(to, 'postgresql.auto.conf')]);
      const served = await serveFolder(to, bin);
      try {
        const rows = await rowsAt({ socketFolder: to, port: 5432 });
        expect(rows.map(({ name }) => name)).toEqual(['start', 'one', 'two', 'three', 'four', 'new']);
      } finally {
        await served.stop();
      }
    });

    it('is not begun where it could not be', async () => {
      const refused = async (...parameters: string[]): Promise<string> =>
        (await pgsilo(['restore', file, ...parameters, '--start'], scene.at)).stderr.replaceAll(/\s+/g, ' ');
      expect(await refused(application, '--dump', 'x.dump')).toContain('--start');
      expect(await refused('@cluster', '--to', join(scene.folder, 'x'.repeat(100)))).toContain(
        'too long a path',
      );
      if (process.getuid?.() !== 0) return;
      const roots = join(scene.folder, 'roots');
      mkdirSync(roots);
      expect(await refused('@cluster', '--to', join(roots, 'x'))).toContain('belong to root');
      expect(existsSync(join(roots, 'x'))).toBe(false);
    });
  },
);
