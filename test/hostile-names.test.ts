import { execa } from 'execa';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { contentOf, textOf } from './services/equality.ts';
import { writePipeline } from './services/fleet.ts';
import { filesBelow, treeOf } from './services/folder-tree.ts';
import {
  createHostileFleet,
  hostileNames,
  hostileTenants,
  type HostileTenant,
} from './services/hostile-names.ts';
import { cleanEnvironment, pgsilo, pgsiloOk, type CallOptions, type Ended } from './services/pgsilo.ts';
import { startServer, type TestServer } from './services/server.ts';

const tenants = hostileTenants();
const everyUnit = ['@globals', 'vigia_master', ...hostileNames].sort();

/** Restored by the command that `show` prints, through a shell; the others are called as they are. */
const pasted = new Set([
  '--file=x',
  '-h',
  `a'b`,
  'a\\b',
  '$(touch owned)',
  '`touch owned`',
  'two\nlines',
  '💾',
]);

describe('tenants whose names are hostile', () => {
  let server: TestServer;
  let work: string;
  let at: CallOptions;
  let file: string;
  let first: Ended;
  let outside: Record<string, string>;
  let fleet: readonly string[];
  /** By database, before pgsilo touched anything. */
  const before = new Map<string, State>();

  interface State {
    readonly text: string;
    readonly content: readonly string[];
  }

  const stateOf = async (database: string): Promise<State> => ({
    text: await textOf(server, database),
    content: await contentOf(server, database),
  });
  /** All that a call could reach by a path that leads out of the sink: the folders around it, HOME (but for its cache) and the folder for temporary files. */
  const outsideOfSink = (): Record<string, string> =>
    treeOf(server.folder, [join('work', 'store'), join('home', '.cache')]);

  beforeAll(async () => {
    server = await startServer();
    work = join(server.folder, 'work');
    for (const folder of ['work', 'home', 'tmp', 'work/scratch']) mkdirSync(join(server.folder, folder));
    at = {
      cwd: work,
      env: { VIGIA_URL: server.url, HOME: join(server.folder, 'home'), TMPDIR: join(server.folder, 'tmp') },
    };
    await createHostileFleet(server, tenants);
    await eachOf(hostileNames, async (name) => before.set(name, await stateOf(name)));
    file = writePipeline(
      { ...server, folder: work },
      { source: '  fingerprint: content', more: 'scratch: ./scratch' },
    );
    outside = outsideOfSink();
    fleet = await server.databases();
    first = await pgsilo(['backup', file, '--json'], at);
  }, 240_000);
  afterAll(async () => server?.stop());

  it('are all backed up, each database under its own unit', () => {
    const [run] = first.json<any>()['runs'];
    expect(run).toMatchObject({ exit: 0, report: { status: 'ok' } });
    expect(run.report.units.map((unit: any) => unit.unit).toSorted()).toEqual(everyUnit);
    expect(run.report.units.filter((unit: any) => unit.status !== 'good')).toEqual([]);
  });

  it('are all listed, by the very names that the registry has', async () => {
    const { backups } = (await pgsiloOk(['list', file, '--json'], at)).json<{ backups: any[] }>();
    expect(backups.map(({ unit }) => unit).toSorted()).toEqual(everyUnit);
    for (const { unit } of tenants)
      expect(backups.find((one) => one.unit === unit).unitLabels).toEqual({ plan: `plan of ${unit}` });
    for (const unit of ['ends', 'ends.', '-h', 'x\ntouch owned\n']) {
      const alone = (await pgsiloOk(['list', file, '--json', '--', unit], at)).json<{ backups: any[] }>();
      expect(alone.backups.map((one) => one.unit)).toEqual([unit]);
    }
  });

  it('are chosen one by one with --only', async () => {
    const chosen = ['--file=x', 'Acme', 'ends '];
    const call = ['backup', file, '--json', ...chosen.flatMap((unit) => ['--only', unit])];
    const [run] = (await pgsiloOk(call, at)).json<any>()['runs'];
    expect(run.report.units.map((unit: any) => unit.unit).toSorted()).toEqual(chosen.toSorted());
  });

  it('are all verified at level decode', { timeout: 120_000 }, async () => {
    const report = (await pgsiloOk(['verify', file, '--level', 'decode', '--json'], at)).json<any>();
    expect(report['status']).toBe('ok');
    expect([...new Set(report['checked'].map((one: any) => one.unit))].sort()).toEqual(everyUnit);
  });

  it('have folders of their own in the sink, also on a file system that ignores case', () => {
    const units = readdirSync(join(work, 'store/vigia/vigia/units'));
    expect(new Set(units.map((name) => name.toLowerCase())).size).toBe(everyUnit.length);
    const stray = filesBelow(join(work, 'store')).filter(
      (path) =>
        !/^vigia\/vigia\/(?:runs|units|notes)(?:\/[a-z0-9=_][a-zA-Z0-9._=-]*[a-zA-Z0-9=_-])+$/.test(path),
    );
    expect(stray.filter((path) => !path.endsWith('pgsilo-sink.json'))).toEqual([]);
  });

  it('are all restored under names of their own, and hold what they held', async () => {
    const databases = await server.databases();
    const targets = new Map<string, string>();
    await eachOf(tenants, async (tenant) => {
      const restored = pasted.has(tenant.unit) ? await restoreAsShown(tenant) : await restoreByName(tenant);
      targets.set(tenant.unit, restored.target);
      expect(await stateOf(restored.target), `${JSON.stringify(tenant)} as ${restored.target}`).toEqual(
        before.get(tenant.database),
      );
    });
    const made = [...targets.values()];
    expect(new Set(made).size).toBe(tenants.length);
    expect(made.filter((name) => Buffer.byteLength(name) > 63)).toEqual([]);
    expect(await server.databases()).toEqual([...databases, ...made].toSorted());
    for (const [database, state] of before) expect(await stateOf(database), `${database}`).toEqual(state);
  }, 240_000);

  const restoreByName = async ({ unit }: HostileTenant): Promise<{ target: string }> =>
    (await pgsiloOk(['restore', file, '--json', '--', unit], at)).json();

  const restoreAsShown = async ({ unit }: HostileTenant): Promise<{ target: string }> => {
    const { stdout } = await pgsiloOk(['show', file, '--', unit], at);
    const command = /^ +(pgsilo restore .*)$/m.exec(stdout)?.[1];
    expect(command, `${stdout}`).toBeDefined();
    const asJson = command!.replace('pgsilo restore', 'pgsilo restore --json');
    const result = await execa('bash', ['-c', asJson], {
      cwd: work,
      env: cleanEnvironment(at.env),
      extendEnv: false,
      reject: false,
    });
    expect(result.exitCode, `${command}\n${result.stderr}`).toBe(0);
    return JSON.parse(result.stdout);
  };

  it(
    'keep apart what was replaced twice, under names that the plan knows as copies',
    { timeout: 120_000 },
    async () => {
      const database = `${'x'.repeat(62)}1`;
      const { unit } = tenants.find((tenant) => tenant.database === database)!;
      const there = new Set(await server.databases());
      for (let turn = 0; turn < 2; turn += 1)
        await pgsiloOk(['restore', file, '--replace', '--yes', '--json', '--', unit], at);
      const kept = (await server.databases()).filter((name) => !there.has(name));
      expect(kept).toHaveLength(2);
      for (const name of [database, ...kept])
        expect(await stateOf(name), `${name}`).toEqual(before.get(database));
      const { warnings } = (await pgsiloOk(['plan', file, '--json'], at)).json<{ warnings: string[] }>();
      const copies = (await server.databases()).filter((name) => !fleet.includes(name)).length;
      expect(warnings).toEqual([
        expect.stringContaining(`${copies} databases look like copies made by restores`),
      ]);
    },
  );

  it('are refused by a name that is nearly theirs', { timeout: 120_000 }, async () => {
    for (const unit of ['ACME', 'ends..', ' ends', '../../etc/', '@globals/../acme', `${'x'.repeat(62)}`]) {
      const result = await pgsilo(['restore', file, '--', unit], at);
      expect([unit, result.exit]).toEqual([unit, 1]);
      expect(result.stderr).toContain('catalog.not-found');
    }
  });

  it('write nothing outside of the sink, and run nothing', () => {
    expect(outsideOfSink()).toEqual(outside);
    expect(existsSync(join(work, 'owned'))).toBe(false);
  });
});

/** Two at a time: as many as there are processors for. */
async function eachOf<Item>(items: readonly Item[], work: (item: Item) => Promise<unknown>): Promise<void> {
  const left = items.values();
  const worker = async (): Promise<void> => {
    for (const item of left) await work(item);
  };
  await Promise.all([worker(), worker()]);
}
