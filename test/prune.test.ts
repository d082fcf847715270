import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeHistory, moveRun, removeRun, repeatRun, type History } from './services/earlier-runs.ts';
import { createFleet, oddTenant, tenants, writePipeline } from './services/fleet.ts';
import { treeOf } from './services/folder-tree.ts';
import { pgsilo, pgsiloOk, type CallOptions } from './services/pgsilo.ts';
import { sealedDocument } from './services/sealed-document.ts';
import { startServer, type TestServer } from './services/server.ts';
import { backupsIn, lackOf, rubbishIn } from './services/store-folder.ts';
import { filesIn } from './services/stored.ts';

/** Around the end of a week, of a month and of a year. */
const days = [
  '2024-12-31',
  '2025-01-12',
  '2025-01-13',
  '2025-01-14',
  '2025-01-20',
  '2025-01-31',
  '2025-02-01',
];
const units = ['@globals', 'vigia_master', ...tenants.map(({ unit }) => unit)];

// Each is many calls of the command.
describe('pgsilo prune', { timeout: 180_000 }, () => {
  let server: TestServer;
  let at: CallOptions;
  let history: History;

  beforeAll(async () => {
    server = await startServer();
    await createFleet(server);
    at = { cwd: server.folder, env: { VIGIA_URL: server.url } };
    history = await makeHistory(server, at, days);
  });
  afterAll(async () => server?.stop());

  const over = (sinks: readonly { readonly yaml: string }[], more: string): string =>
    writePipeline(server, { sinks: sinks.map(({ yaml }) => yaml).join('\n'), more });
  const daysIn = (store: string): ReadonlyMap<string, string[]> =>
    new Map(units.map((unit) => [unit, history.daysIn(store, unit)]));
  const expectWhole = async (file: string, store: string): Promise<void> => {
    expect(backupsIn(store).flatMap(lackOf)).toEqual([]);
    expect(rubbishIn(store)).toEqual([]);
    await pgsiloOk(['verify', file, '--all', '--level', 'decode'], at);
  };

  it('shows with --dry-run what it would do and does nothing, then does that, by rules for labels, with the server stopped', async () => {
    const sink = history.sink();
    const rules = '[{ where: { plan: active }, daily: 3 }, { where: { plan: demo }, weekly: 3, yearly: 2 }]';
    const file = over([sink], `retention: { last: 2, rules: ${rules} }`);
    const before = treeOf(server.folder);
    await server.kill();
    try {
      const shown = await pgsiloOk(['prune', file, '--dry-run'], at);
      const dry = (await pgsiloOk(['prune', file, '--dry-run', '--json'], at)).json();
      expect(treeOf(server.folder)).toEqual(before);
      const row = (unit: string, day: string, text: string): RegExp =>
        new RegExp(`^${unit} +${history.runs.get(day)} +${sink.name} +[\\d.]+ \\w+ +${text}$`, 'm');
      for (const expected of [
        row('acme', 'now', 'keep +newest good one, daily 1 of 3'),
        row('acme', '2025-01-31', 'keep +daily 3 of 3'),
        row('acme', '2025-01-20', 'remove +no rule keeps it'),
        row('umbrella', '2025-02-01', 'keep +weekly 2 of 3, yearly 2 of 2'),
        row('umbrella', '2025-01-31', 'remove +no rule keeps it'),
        row('umbrella', '2025-01-20', 'keep +weekly 3 of 3'),
        row('@globals', '2025-02-01', 'keep +last 2 of 2'),
        /^sink-\d+ {2}37 backups to remove \([\d.]+ \w+\), 19 kept$/m,
      ])
        expect(shown.stdout).toMatch(expected);

      const done = (await pgsiloOk(['prune', file, '--json'], at)).json();
      const foreseen = dry.backups.map((each: any) =>
        each.outcome === 'planned' ? { ...each, outcome: 'removed', retainedObjects: 0 } : each,
      );
      expect(done).toEqual({ ...dry, dryRun: false, backups: foreseen });
      expect((await pgsiloOk(['prune', file, '--quiet'], at)).all.trim()).toBe('');
    } finally {
      await server.start();
    }
    const plans = new Map(tenants.map(({ unit, plan }) => [unit, plan]));
    const third: Record<string, string[]> = { active: ['2025-01-31'], demo: ['2025-01-20'] };
    const kept = new Map(
      units.map((unit) => [unit, [...(third[plans.get(unit) ?? ''] ?? []), '2025-02-01', 'now']]),
    );
    expect(daysIn(sink.store)).toEqual(kept);
    await expectWhole(file, sink.store);
    const { backup } = history.backup(sink.store, 'globex', '2025-01-31');
    await pgsiloOk(['restore', file, 'globex', '--backup', backup, '--to', 'globex_then'], at);
    const rows = await server.query('globex_then', 'SELECT count(*)::int AS n FROM app.orders');
    expect(rows).toEqual([{ n: 200 }]);
  });

  it('goes by a sink’s own retention in place of the pipeline’s, and keeps all where there is none', async () => {
    const near = history.sink();
    const far = history.sink(', retention: { monthly: 3, timezone: America/Bogota }');
    const file = over([near, far], 'retention: { daily: 1 }');
    await pgsiloOk(['prune', file], at);
    expect(daysIn(near.store)).toEqual(new Map(units.map((unit) => [unit, ['now']])));
    // In Bogotá the first of February at 02:00 UTC is still January.
    expect(daysIn(far.store)).toEqual(
      new Map(units.map((unit) => [unit, ['2024-12-31', '2025-02-01', 'now']])),
    );
    for (const { store } of [near, far]) await expectWhole(file, store);

    const [all, one] = [history.sink(), history.sink(', retention: { last: 1 }')];
    const { stdout } = await pgsiloOk(['prune', over([all, one], '')], at);
    expect(stdout).toMatch(new RegExp(`^${all.name} {2}no retention: all backups kept$`, 'm'));
    expect(history.daysIn(all.store, 'acme')).toEqual([...days, 'now']);
    expect(history.daysIn(one.store, 'acme')).toEqual(['now']);
  });

  it('keeps what is pinned, until it is unpinned', async () => {
    const { yaml, store } = history.sink();
    const file = over([{ yaml }], 'retention: { last: 1 }');
    const { unit } = oddTenant;
    const { backup } = history.backup(store, unit, '2025-01-13');
    await pgsiloOk(['pin', file, unit, backup, '--reason', 'court', '--until', '2999-01-01T00:00:00Z'], at);
    const { backups } = (await pgsiloOk(['prune', file, '--json'], at)).json();
    const pinned = backups.find((each: any) => each.unit === unit && each.backup === backup);
    expect(pinned).toMatchObject({ outcome: 'kept', rules: ['pinned'] });
    expect(history.daysIn(store, unit)).toEqual(['2025-01-13', 'now']);
    expect(history.daysIn(store, 'acme')).toEqual(['now']);
    await pgsiloOk(['unpin', file, unit, backup], at);
    await pgsiloOk(['prune', file], at);
    expect(history.daysIn(store, unit)).toEqual(['now']);
    expect(filesIn(store).filter((path) => path.includes('/notes/'))).toEqual([]);
  });

  it('never removes the newest good backup, however old, nor a damaged one that is newer', async () => {
    const { yaml, store } = history.sink();
    const file = over([{ yaml }], 'retention: { within: 1d }');
    removeRun(store, history.runs.get('now')!);
    for (const day of ['2025-01-31', '2025-02-01', '2025-01-13']) {
      const path = join(history.backup(store, 'acme', day).folder, 'manifest.json');
      const manifest = JSON.parse(readFileSync(path, 'utf8'));
      writeFileSync(path, sealedDocument({ ...manifest, status: 'damaged' }));
    }
    await pgsiloOk(['prune', file], at);
    expect(history.daysIn(store, 'acme')).toEqual(['2025-01-20', '2025-01-31', '2025-02-01']);
    expect(history.daysIn(store, 'globex')).toEqual(['2025-02-01']);
    await pgsiloOk(['restore', file, 'acme', '--to', 'acme_again'], at);
  });

  it('holds all of a tenant that left the registry until its time is over, then removes it whole', async () => {
    const { yaml, store } = history.sink();
    for (const day of days) removeRun(store, history.runs.get(day)!);
    const ago = (count: number): Date => new Date(Date.now() - count * 86_400_000);
    const now = history.runs.get('now')!;
    const [old, older] = [repeatRun(store, now, ago(400)), moveRun(store, now, ago(500))];
    const change = 'UPDATE clientes_saas SET is_active = $1 WHERE subdominio = $2';
    await server.query('vigia_master', change, [false, 'initech']);
    try {
      await pgsiloOk(['backup', over([{ yaml }], '')], at);
    } finally {
      await server.query('vigia_master', change, [true, 'initech']);
    }
    const unitsOf = (run: string): string[] =>
      backupsIn(store).flatMap(({ backup, unit }) => (backup === run ? [unit] : []));
    const all = unitsOf(old);
    expect(all.toSorted()).toEqual(units.toSorted());
    const held = over([{ yaml }], 'retention: { last: 2, departed: 2y }');
    const { backups } = (await pgsiloOk(['prune', held, '--json'], at)).json();
    expect([unitsOf(old), unitsOf(older)]).toEqual([all, ['initech']]);
    const rules = backups.flatMap((each: any) => (each.unit === 'initech' ? [each.rules] : []));
    expect(rules).toEqual([
      ['departed', 'newest', 'last'],
      ['departed', 'last'],
    ]);
    await pgsiloOk(['prune', over([{ yaml }], 'retention: { last: 2, departed: 1y }')], at);
    expect(unitsOf(old)).toEqual(all.filter((unit) => unit !== 'initech'));
    expect(filesIn(store).filter((path) => path.includes('initech'))).toEqual([]);
  });

  it('refuses to do anything where nothing says what to keep', async () => {
    const { yaml, store } = history.sink();
    const before = treeOf(store);
    const result = await pgsilo(['prune', over([{ yaml }], '')], at);
    expect(result.exit).toBe(2);
    expect(result.stderr).toContain('pipeline vigia has no retention: all its backups are kept');
    expect(result.stderr).toContain('retention: { last: 3, daily: 30, monthly: 12 }');
    expect(treeOf(store)).toEqual(before);
  });

  it('is told of beforehand by plan', async () => {
    const file = over([history.sink()], 'retention: { last: 3 }');
    const { stdout } = await pgsiloOk(['plan', file], at);
    expect(stdout).toMatch(/^Retention would now remove 35 backups .*, and keep 21\./m);
    const { retention } = (await pgsiloOk(['plan', file, '--json'], at)).json();
    expect(retention).toMatchObject([{ removed: 35, kept: 21 }]);
  });

  it('follows a backup that ended well, and none that did not, with prune: after-backup', async () => {
    const { yaml, name, store } = history.sink();
    const file = over([{ yaml }], 'retention: { last: 2 }\nprune: after-backup');
    const insert = "INSERT INTO clientes_saas VALUES ('gone_db', 'gone', 'demo')";
    await server.query('vigia_master', insert);
    try {
      const failed = await pgsilo(['backup', file, '--json'], at);
      expect(failed.exit).toBe(1);
      expect(failed.json()['runs'][0]).not.toHaveProperty('prune');
      expect(failed.stderr).toContain('not pruned, because the run did not end well');
      expect(history.daysIn(store, 'acme')).toHaveLength(days.length + 2);
    } finally {
      await server.query('vigia_master', "DELETE FROM clientes_saas WHERE subdominio = 'gone'");
    }
    const [run] = (await pgsiloOk(['backup', file, '--only', 'acme', '--json'], at)).json()['runs'];
    expect(run).toMatchObject({ exit: 0, report: { status: 'ok' } });
    // Of acme there were ten, of the others nine.
    expect(run.prune).toMatchObject([
      { sink: name, removed: 8 + 7 * (units.length - 1), kept: 2 * units.length },
    ]);
    expect([...daysIn(store).values()].map((left) => left.length)).toEqual(units.map(() => 2));
    expect(history.daysIn(store, 'acme').at(-1)).toBe(run.report.run);
    await expectWhole(file, store);
  });
});
