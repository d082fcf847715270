import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createFleet, tenants, writePipeline } from './services/fleet.ts';
import { dyingAt, nothingRuns, type Moment } from './services/moments.ts';
import { pgsiloOk, startPgsilo, type CallOptions } from './services/pgsilo.ts';
import { randomFrom, testSeed } from './services/random.ts';
import { startServer, type TestServer } from './services/server.ts';
import { backupsIn, entriesOf, lackOf, rubbishIn, runsIn } from './services/store-folder.ts';

const seed = testSeed(20261121);
const kills = 20;

describe('a backup that is killed', () => {
  let server: TestServer;
  let at: CallOptions;
  let file: string;
  let store: string;
  /** Milliseconds that a run takes when nobody kills it. */
  let length: number;
  /** What each unit holds, as the undisturbed run has counted it. */
  let whole: ReadonlyMap<string, object>;

  beforeAll(async () => {
    server = await startServer();
    await createFleet(
      server,
      tenants.slice(0, 3).map((tenant) => ({ ...tenant, rows: Math.max(tenant.rows, 2000) })),
    );
    mkdirSync(join(server.folder, 'tmp'));
    at = { cwd: server.folder, env: { VIGIA_URL: server.url, TMPDIR: join(server.folder, 'tmp') } };
    file = writePipeline(server);
    store = join(server.folder, 'store', 'vigia');
    const began = Date.now();
    await pgsiloOk(['backup', file], at);
    length = Date.now() - began;
    whole = new Map(backupsIn(store).map(({ unit, about }) => [unit, about]));
  });
  afterAll(async () => server?.stop());

  const expectOnlyWholeBackups = async (moment: string): Promise<void> => {
    const verified = (
      await pgsiloOk(['verify', file, '--all', '--level', 'decode', '--json'], at)
    ).json<any>();
    const stored = backupsIn(store);
    expect(verified.checked.length, `${moment}`).toBe(stored.length);
    expect(stored.flatMap(lackOf), `${moment}`).toEqual([]);
    for (const { unit, about } of stored) expect(about, `${unit}, ${moment}`).toEqual(whole.get(unit));
  };

  /** The next run of any units takes away what the killed one left, and says in its record that it was killed. */
  const expectNextRunCleans = async (moment: string): Promise<void> => {
    const ended = runsIn(store).length;
    const begun = rubbishIn(store).filter((path) => path.endsWith('.begin.json')).length;
    const { json } = await pgsiloOk(['backup', file, '--only', 'initech', '--json'], at);
    expect(json<any>()['runs'][0].report.status, `${moment}`).toBe('ok');
    expect(rubbishIn(store), `${moment}`).toEqual([]);
    const runs = runsIn(store);
    expect(runs.length, `${moment}`).toBe(ended + begun + 1);
    expect(runs.filter(({ status }) => status === 'killed').length, `${moment}`).toBeGreaterThanOrEqual(
      begun,
    );
    expect(entriesOf(at.env!['TMPDIR']!), `${moment}`).toEqual([]);
  };

  it(
    `at any of ${kills} random moments leaves whole backups only, and the next run cleans up`,
    { timeout: 600_000 },
    async () => {
      const random = randomFrom(seed);
      for (let n = 0; n < kills; n += 1) {
        const fraction = (n + random()) / kills;
        const moment = `kill ${n + 1} of ${kills} at ${Math.round(fraction * 100)} % of ${length} ms, seed ${seed}`;
        let killed = false;
        // A run may be quicker than the one that was measured.
        for (let part = fraction; !killed; part *= 0.9) {
          const run = startPgsilo(['backup', file], at);
          await sleep(part * length);
          run.kill('SIGKILL');
          killed = (await run.result).exit === undefined;
        }
        await nothingRuns(server);
        await expectOnlyWholeBackups(moment);
        await expectNextRunCleans(moment);
        expect(runsIn(store).length).toBeGreaterThan(n + 1);
      }
    },
  );

  const moments: readonly (Moment & { readonly title: string; readonly leaves: readonly RegExp[]; readonly commits: number | 'all' | undefined })[] = [
    { title: 'before its begin marker has its name', does: 'publishes', what: 'begin\\.json$', when: 'before', leaves: [/\.part$/], commits: 0 },
    { title: 'right after its begin marker', does: 'publishes', what: 'begin\\.json$', when: 'after', leaves: [/\.begin\.json$/, /\.part$/], commits: 0 },
    { title: 'in the middle of a body', does: 'writes', what: '', nth: 2, leaves: [/\.begin\.json$/, /\.part$/], commits: undefined },
    { title: 'when a body is whole and has no name yet', does: 'publishes', what: '/acme/.*database\\.dump', when: 'before', leaves: [/\.part$/], commits: undefined },
    { title: 'between two bodies of a unit', does: 'publishes', what: '/acme/.*database\\.dump', when: 'after', leaves: [/\/acme\/.*\/database\.dump\.zst$/], commits: undefined },
    { title: 'between the bodies and the manifest', does: 'publishes', what: '/acme/.*/manifest\\.json$', when: 'before', leaves: [/\/acme\/.*\/database\.dump\.zst$/, /\/acme\/.*\/fingerprint\.json\.zst$/], commits: undefined },
    { title: 'right after a manifest', does: 'publishes', what: '/acme/.*/manifest\\.json$', when: 'after', leaves: [/\.begin\.json$/], commits: 1 },
    { title: 'before its summary', does: 'publishes', what: '/runs/[^.]*\\.json$', when: 'before', leaves: [/\.begin\.json$/], commits: 'all' },
    { title: 'right after its summary', does: 'publishes', what: '/runs/[^.]*\\.json$', when: 'after', leaves: [/\.part$/], commits: 'all' },
  ]; // prettier-ignore

  it.each(moments)(
    '$title leaves whole backups only, and the next run cleans up',
    { timeout: 180_000 },
    async (moment) => {
      const before = backupsIn(store).length;
      const run = startPgsilo(['backup', file], { ...at, env: { ...at.env, ...dyingAt(moment) } });
      expect((await run.result).exit).toBeUndefined();
      await nothingRuns(server);
      const left = rubbishIn(store);
      for (const kind of moment.leaves)
        expect(
          left.filter((path) => kind.test(path)),
          `${kind}`,
        ).not.toEqual([]);
      const committed = backupsIn(store).length - before;
      const { commits } = moment;
      const [least, most] =
        commits === 'all' ? [whole.size, whole.size] : commits === 0 ? [0, 0] : [commits ?? 0, whole.size];
      expect(committed).toBeGreaterThanOrEqual(least);
      expect(committed).toBeLessThanOrEqual(most);
      await expectOnlyWholeBackups(moment.title);
      await expectNextRunCleans(moment.title);
    },
  );
});
