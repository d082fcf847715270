import { serveFolder } from '@pgsilo/testkit/postgres';
import { existsSync, globSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mayReadCheckout } from './services/checkout.ts';
import { pgsilo, pgsiloOk } from './services/pgsilo.ts';
import { availablePostgres, installPostgres } from './services/postgres.ts';
import {
  application, hostileName, makeTwoTimelines, stepsIn, type TwoTimelines,
} from './services/two-timelines.ts'; // prettier-ignore

const system = (await availablePostgres())[0]!;
const wanted = [system, await installPostgres(18)];
const versions = wanted.filter(({ major }, index) => index === 0 || major !== system.major);

// Each stands on those before it.
describe.each(versions)(
  'a server of PostgreSQL $major, and where its recovery ends',
  { timeout: 180_000 },
  (programs) => {
    let scene: TwoTimelines;
    let dumps = 0;
    const file = 'files.yaml';
    const bin = 'bin' in programs ? programs.bin : '';
    const restore = (...parameters: string[]) => pgsilo(['restore', file, ...parameters], scene.at);
    /** Steps of the application's database as it is brought back, and the plan. */
    const stepsAt = async (...goal: string[]): Promise<{ steps: string[]; plan: string }> => {
      const dump = join(scene.folder, `${(dumps += 1)}.dump`);
      const { stdout } = await pgsiloOk(['restore', file, application, ...goal, '--dump', dump], scene.at);
      return { steps: stepsIn(dump, bin), plan: stdout.replaceAll(/\s+/g, ' ') };
    };
    const refusal = async (...parameters: string[]): Promise<string> => {
      const { exit, stderr } = await restore(...parameters);
      expect([exit === 0, existsSync(join(scene.folder, 'not'))]).toEqual([false, false]);
      return stderr.replaceAll(/\s+/g, ' ');
    };

    beforeAll(async () => {
      scene = await makeTwoTimelines(bin);
    }, 120_000);
    afterAll(() => scene?.stop());

    it('ends at a position, a transaction, a restore point, the end of the backup', async () => {
      const { backups, lsn, xid } = scene;
      const position = await stepsAt('--lsn', lsn.toLowerCase());
      expect(position.steps).toEqual(['start', 'one']);
      expect(position.plan).toContain(`up to position ${lsn}, on timeline`);
      expect(position.plan).toMatch(
        /1 segment from the sinks, 0{7}1\w{16} to 0{7}1\w{16}: 17 MB, \d+ MB as stored/,
      );
      expect(position.plan).toMatch(/Disk: \d+ MB for the files, and up to 17 MB more .* has [\d,]+ MB left/);
      expect((await stepsAt('--xid', xid)).steps).toEqual(['start', 'one', 'two']);
      const named = await stepsAt(
        '--restore-point',
        hostileName,
        '--timeline',
        '1',
        '--backup',
        backups.first,
      );
      expect(named.steps).toEqual(['start', 'one', 'two', 'three']);
      expect((await stepsAt('--immediate', '--backup', backups.first)).steps).toEqual(['start']);
    });

    it('follows the new timeline or the old one, from a backup that leads there', async () => {
      const { backups } = scene;
      const before = ['start', 'one', 'two', 'three', 'four'];
      const promoted = await stepsAt('--latest');
      expect(promoted.steps).toEqual([...before, 'new']);
      expect(promoted.plan).toContain(`Pass over ${backups.second}: it ends at`);
      expect(promoted.plan).toContain(backups.first);
      const old = await stepsAt('--latest', '--timeline', 'current');
      expect(old.steps).toEqual([...before, 'old', 'later']);
      expect(old.plan).toContain(backups.second);
      expect((await stepsAt('--latest', '--timeline', '1', '--backup', backups.first)).steps).toEqual(
        old.steps,
      );
      expect((await stepsAt('--latest', '--timeline', '2')).steps).toEqual(promoted.steps);
    });

    // What follows is pgsilo's own, whatever the version.
    if (programs.major !== system.major) return;

    it('takes the newest backup for what has no order, and says so', async () => {
      const { backups, xid } = scene;
      const newest = await refusal(application, '--xid', xid, '--timeline', '1', '--dump', 'not');
      expect(newest).toContain(`does not reach the end of transaction ${xid}: it goes up to`);
      expect(newest).toContain('older than the backup');
      const { plan } = await stepsAt('--xid', xid, '--timeline', '1', '--backup', backups.first);
      expect(plan).not.toContain('Begin at the newest');
      const told = await pgsilo(
        ['restore', file, '@cluster', '--xid', xid, '--timeline', '1', '--to', 'of-xid'],
        scene.at,
      );
      expect(told.stdout.replaceAll(/\s+/g, ' ')).toContain(
        `Begin at the newest backup, ${backups.second}, of`,
      );
      expect(readFileSync(join(scene.folder, 'of-xid/postgresql.auto.conf'), 'utf8')).toContain(
        `recovery_target_xid = '${xid}'\nrecovery_target_inclusive = 'on'\nrecovery_target_action = 'promote'\nrecovery_target_timeline = '1'\n`,
      );
    });

    it.skipIf(!mayReadCheckout())(
      'is written for a server that is started later, whatever a restore point is called',
      async () => {
        const to = join(scene.folder, 'named');
        await pgsiloOk(['restore', file, '@cluster', '--restore-point', hostileName, '--to', to], scene.at);
        const served = await serveFolder(to, bin);
        try {
          const { user, password } = scene.server;
          const client = new pg.Client({ host: to, port: 5432, user, password, database: application });
          await client.connect();
          const { rows } = await client.query('SELECT name, pg_is_in_recovery() AS recovering FROM steps');
          await client.end();
          expect(rows.map(({ name }) => name)).toEqual(['start', 'one', 'two', 'three']);
          expect(rows[0].recovering).toBe(false);
        } finally {
          await served.stop();
        }
      },
    );

    it('is refused plainly where it cannot be', async () => {
      const { backups, lsn, folder } = scene;
      const dump = ['--dump', 'not'];
      expect(await refusal(application, '--lsn', '0/28', ...dump)).toMatch(
        new RegExp(
          `none of the 2 backups .* leads there; the oldest, ${backups.first}, ends at .*, behind position 0/28`,
        ),
      );
      expect(await refusal('@cluster', '--lsn', lsn, '--backup', backups.second, '--to', 'not')).toContain(
        'Choose an older backup',
      );
      expect(await refusal('@cluster', '--lsn', 'FF/0', '--to', 'not')).toContain(
        'does not reach position FF/0',
      );
      expect(await refusal('@cluster', '--latest', '--backup', backups.second, '--to', 'not')).toContain(
        'where it was left for the way to timeline 2',
      );
      expect(await refusal('@cluster', '--latest', '--timeline', '9', '--to', 'not')).toContain(
        'no timeline 9 was archived',
      );
      expect(await refusal(application, '--restore-point', 'never made', ...dump)).toContain(
        'does not reach restore point "never made"',
      );
      expect(readdirSync(join(folder, 'scratch'))).toEqual([]);
      const [middle] = globSync('store/files/wal/00000001/*', { cwd: folder }).sort().slice(-2);
      renameSync(join(folder, middle!), join(folder, 'away'));
      expect(
        await refusal(application, '--latest', '--timeline', '1', '--backup', backups.first, ...dump),
      ).toMatch(
        /does not reach the end of what was archived: \w{24} is missing, it was without a gap up to \w{24}/,
      );
      renameSync(join(folder, 'away'), join(folder, middle!));
    });
  },
);
