import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeHistory, moveRun, type History } from './services/earlier-runs.ts';
import { createFleet, tenants, writePipeline } from './services/fleet.ts';
import { treeOf } from './services/folder-tree.ts';
import { dyingAt, nothingRuns, type Moment } from './services/moments.ts';
import { pgsilo, pgsiloOk, startPgsilo, type CallOptions } from './services/pgsilo.ts';
import { sealedDocument } from './services/sealed-document.ts';
import { startServer, type TestServer } from './services/server.ts';
import { backupsIn, entriesOf, lackOf, rubbishIn } from './services/store-folder.ts';
import { filesIn, listed } from './services/stored.ts';

const days = ['2025-01-13', '2025-01-14', '2025-01-15'];
const everything = ['@globals', 'acme', 'globex', 'vigia_master'];

// Each is many calls of the command.
describe('pgsilo prune in trouble', { timeout: 180_000 }, () => {
  let server: TestServer;
  let at: CallOptions;
  let history: History;

  beforeAll(async () => {
    server = await startServer();
    await createFleet(server, tenants.slice(0, 2));
    mkdirSync(join(server.folder, 'tmp'));
    at = { cwd: server.folder, env: { VIGIA_URL: server.url, TMPDIR: join(server.folder, 'tmp') } };
    history = await makeHistory(server, at, days);
  });
  afterAll(async () => server?.stop());

  const over = (...sinks: readonly { readonly yaml: string }[]): string =>
    writePipeline(server, {
      sinks: sinks.map(({ yaml }) => yaml).join('\n'),
      more: 'retention: { last: 1 }',
    });

  it('with a sink that cannot be looked at leaves that one alone, prunes the other and exits 1; with none it exits 3', async () => {
    const [near, far] = [history.sink(), history.sink()];
    const file = over(near, far);
    const before = treeOf(far.store);
    renameSync(far.store, `${far.store}.away`);
    writeFileSync(far.store, 'not a folder');
    const result = await pgsilo(['prune', file, '--json'], at);
    expect(result.exit).toBe(1);
    const [done, failed] = result.json()['sinks'];
    expect(done).toMatchObject({ sink: near.name, kept: 4, removed: 12 });
    expect(failed).toMatchObject({ sink: far.name, kept: 0, removed: 0, error: { code: 'sink.denied' } });
    expect(history.daysIn(near.store, 'acme')).toEqual(['now']);

    const alone = await pgsilo(['prune', over(far)], at);
    expect(alone.exit).toBe(3);
    expect(alone.stderr).toContain('is no folder');
    rmSync(far.store);
    renameSync(`${far.store}.away`, far.store);
    expect(treeOf(far.store)).toEqual(before);
    await pgsiloOk(['prune', over(near, far)], at);
    expect(history.daysIn(far.store, 'acme')).toEqual(['now']);
  });

  it('keeps what it cannot read, says so and exits 1', async () => {
    const { yaml, store } = history.sink();
    const { backup, folder } = history.backup(store, 'acme', '2025-01-14');
    const path = join(folder, 'manifest.json');
    writeFileSync(path, readFileSync(path, 'utf8').replace('"good"', '"goad"'));
    const result = await pgsilo(['prune', over({ yaml })], at);
    expect(result.exit).toBe(1);
    expect(result.stdout).toMatch(new RegExp(`^acme +${backup} .* keep +its manifest cannot be read; `, 'm'));
    expect(filesIn(store).filter((each) => each.includes('/acme/') && each.endsWith('.json'))).toHaveLength(
      2,
    );
  });

  it('leaves alone what a run may still be working on, and sweeps it when that began more than seven days ago', async () => {
    const { yaml, store } = history.sink();
    const file = over({ yaml });
    const dying = dyingAt({ does: 'publishes', what: '/acme/.*/manifest\\.json$', when: 'before' });
    expect((await pgsilo(['backup', file], { ...at, env: { ...at.env, ...dying } })).exit).toBeUndefined();
    await nothingRuns(server);
    const marker = join(
      store,
      rubbishIn(store)
        .find((path) => path.endsWith('.begin.json'))!
        .slice(store.length),
    );
    // As if it were a run on another machine, whose process cannot be looked for from here.
    const process = { host: 'elsewhere', pid: 1, identity: '0123456789abcdef-1-1' };
    writeFileSync(marker, sealedDocument({ ...JSON.parse(readFileSync(marker, 'utf8')), process }));
    const { run } = JSON.parse(readFileSync(marker, 'utf8'));
    const half = rubbishIn(store).filter((path) => path.includes(`/acme/${run}/`));
    expect(half).not.toEqual([]);
    await pgsiloOk(['prune', file], at);
    expect(history.daysIn(store, 'acme')).toEqual(['now']);
    expect(rubbishIn(store)).toEqual(expect.arrayContaining(half));

    moveRun(store, run, new Date(Date.now() - 7.1 * 86_400_000));
    const { sinks } = (await pgsiloOk(['prune', file, '--dry-run', '--json'], at)).json();
    expect(sinks[0].garbage).toBe(rubbishIn(store).filter((path) => path.includes('/units/')).length);
    await pgsiloOk(['prune', file], at);
    expect(rubbishIn(store)).toEqual([]);
    await pgsiloOk(['verify', file, '--all'], at);
  });

  describe('interrupted', () => {
    let scene: string;
    /** What an undisturbed prune leaves. */
    let whole: string[];
    let count = 0;

    /** A store in which prune has all that it can meet: backups of several units, notes about one of them, and garbage. */
    beforeAll(async () => {
      const { yaml, store } = history.sink();
      scene = store;
      const { backup, folder } = history.backup(store, 'globex', '2025-01-13');
      const file = over({ yaml });
      await pgsiloOk(['pin', file, 'globex', backup, '--reason', 'court'], at);
      await pgsiloOk(['unpin', file, 'globex', backup], at);
      cpSync(folder, folder.replace('globex', 'gone'), { recursive: true });
      rmSync(join(folder.replace('globex', 'gone'), 'manifest.json'));
      const undisturbed = copyOfScene();
      await pgsiloOk(['prune', undisturbed.file], at);
      whole = filesIn(undisturbed.store);
    });

    it('by nobody removes all of what goes', () => {
      const gone = /\/units\/gone\/|\/notes\/|\/units\/.*\/2025/;
      expect(filesIn(scene).filter((path) => gone.test(path))).not.toEqual([]);
      expect(whole.filter((path) => gone.test(path))).toEqual([]);
    });

    const copyOfScene = (): { readonly file: string; readonly store: string } => {
      count += 1;
      const store = join(server.folder, `scene-${count}`);
      cpSync(scene, store, { recursive: true });
      return { store, file: over({ yaml: `  - { use: local, path: ${store} }` }) };
    };

    const moments: readonly (Moment & { readonly title: string })[] = [
      { title: 'before the first manifest', does: 'removes', what: '/manifest\\.json$', when: 'before' },
      { title: 'after the first manifest', does: 'removes', what: '/manifest\\.json$', when: 'after' },
      { title: 'between manifests', does: 'removes', what: '/manifest\\.json$', nth: 5, when: 'after' },
      { title: 'between manifests and bodies', does: 'removes', what: '/globex/.*\\.zst$', when: 'before' },
      { title: 'between bodies', does: 'removes', what: '/globex/.*\\.zst$', nth: 3, when: 'after' },
      { title: 'between bodies and notes', does: 'removes', what: '/notes/', when: 'before' },
      { title: 'between notes', does: 'removes', what: '/notes/', when: 'after' },
      { title: 'before garbage', does: 'removes', what: '/gone/', when: 'before' },
      { title: 'in the middle of garbage', does: 'removes', what: '/gone/', nth: 2, when: 'before' },
    ]; // prettier-ignore

    it.each(moments)(
      'by SIGKILL $title lists only what is whole, and the next prune ends what it began',
      async (moment) => {
        const { file, store } = copyOfScene();
        const before = filesIn(store).length;
        const killed = startPgsilo(['prune', file], { ...at, env: { ...at.env, ...dyingAt(moment) } });
        expect((await killed.result).exit).toBeUndefined();
        const left = filesIn(store).length;
        expect(left).toBeGreaterThan(whole.length);
        expect(left).toBeLessThanOrEqual(before);
        expect(backupsIn(store).flatMap(lackOf)).toEqual([]);
        expect(await listed(file, at)).toEqual(everything);
        await pgsiloOk(['verify', file, '--all'], at);
        await pgsiloOk(['prune', file], at);
        expect(filesIn(store)).toEqual(whole);
        expect(entriesOf(at.env!['TMPDIR']!)).toEqual([]);
      },
    );

    it('by Ctrl-C exits 130 and lists only what is whole', async () => {
      const { file, store } = copyOfScene();
      const moment = dyingAt({
        does: 'removes',
        what: '/manifest\\.json$',
        nth: 2,
        when: 'after',
        signal: 'SIGINT',
      });
      const result = await pgsilo(['prune', file], { ...at, env: { ...at.env, ...moment } });
      expect(result.exit).toBe(130);
      expect(filesIn(store).length).toBeGreaterThan(whole.length);
      expect(backupsIn(store).flatMap(lackOf)).toEqual([]);
      expect(entriesOf(at.env!['TMPDIR']!)).toEqual([]);
      await pgsiloOk(['prune', file], at);
      expect(filesIn(store)).toEqual(whole);
    });
  });
});
