import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { documentOf, pgsilo, pipelineFile, project } from './pgsilo.ts';

describe('pgsilo validate', () => {
  it('names what is right and every mistake of every file', async () => {
    const { file, folder } = await project();
    const wrong = join(folder, 'wrong.yaml');
    await writeFile(wrong, 'pipeline: vigia\nsource: { use: databse-per-tenant }\nsinks:\n  - use: lokal\n');
    const ended = await pgsilo(['validate', file, wrong]);
    expect(ended).toMatchObject({ exit: 2, stderr: '' });
    expect(ended.stdout).toMatch(/^ok {2}.*vigia\.yaml {2}pipeline vigia: /);
    expect(ended.stdout).toContain('wrong.yaml:4:10');
    expect(ended.stdout).toContain('did you mean "local"?');
    expect(ended.stdout).toContain('did you mean "database-per-tenant"?');
    const { files } = documentOf(await pgsilo(['validate', file, wrong, '--json']));
    expect(files.map(({ ok, mistakes }: any) => [ok, mistakes.length])).toEqual([
      [true, 0],
      [false, 2],
    ]);
    expect(files[1].mistakes[1]).toMatchObject({ line: 4, column: 10, path: 'sinks[0].use' });
  });
});

describe('pgsilo doctor', () => {
  it.each([
    ['warning', 0, 'all good, 1 warning'],
    ['failed', 1, '1 failed'],
  ])('with a check that is %s exits %d', async (check, exit, verdict) => {
    const { file } = await project({ source: { check } });
    const ended = await pgsilo(['doctor', file]);
    expect(ended.exit).toBe(exit);
    expect(ended.stdout).toMatch(/sink local\n {2}ok {7}write access/);
    expect(ended.stdout).toContain('Raise max_locks_per_transaction.');
    expect(ended.stdout).toContain(verdict);
    const document = documentOf(await pgsilo(['doctor', file, '--json']));
    expect(document.status).toBe(exit === 0 ? 'ok' : 'failed');
    expect(document.checks).toContainEqual(expect.objectContaining({ name: 'max_locks', status: check }));
  });

  it('goes on after an area that cannot be reached', async () => {
    const { file } = await project({ source: { unreachable: true } });
    const ended = await pgsilo(['doctor', file, '--quiet']);
    expect(ended.exit).toBe(1);
    expect(ended.stdout).toContain('nothing answers at 127.0.0.1:1');
    expect(ended.stdout).not.toContain('write access');
  });
});

describe('pgsilo plan', () => {
  it('shows jobs, what is missing and warnings, and exits 1 as the run would', async () => {
    const { file } = await project({
      units: [
        { name: 'a', bytes: 10, labels: { plan: 'pro' } },
        { name: 'b', bytes: 5000 },
        { name: 'c', status: 'missing' },
      ],
      source: { warnings: ['the database "stray" is in no row'] },
    });
    const ended = await pgsilo(['plan', file]);
    expect(ended.exit).toBe(1);
    expect(ended.stdout).toMatch(/1 {2}b +5\.0 kB\n +2 {2}a +10 B {2}plan=pro\n/);
    expect(ended.stdout).toContain('warning  the database "stray" is in no row');
    expect(ended.stdout).toContain('2 units in 2 jobs, about 5.0 kB, 1 missing.');
    const document = documentOf(await pgsilo(['plan', file, '--only', 'a', '--json']));
    expect(document).toMatchObject({
      pipeline: 'vigia',
      estimatedBytes: 10,
      jobs: [{ id: 'a', estimatedBytes: 10, units: [{ unit: 'a', labels: { plan: 'pro' } }] }],
      missing: [],
      sinks: [{ name: 'local', use: 'local', required: true }],
    });
  });
});

describe('pgsilo list, show, pin and verify', () => {
  it('find, hold and prove what a run made', { timeout: 120_000 }, async () => {
    const { file, folder } = await project({
      units: [{ name: 'acme', bytes: 50_000 }, { name: 'glo\nbex' }],
    });
    expect(await pgsilo(['list', file])).toMatchObject({
      exit: 0,
      stdout: '',
      stderr: 'no backups of pipeline vigia yet\n',
    });
    const id = documentOf(await pgsilo(['backup', file, '--json'])).runs[0].report.run;

    expect((await pgsilo(['pin', file, 'acme', id, '--reason', 'audit'])).exit).toBe(0);
    const listed = await pgsilo(['list', file]);
    expect(listed.stdout).toMatch(new RegExp(`acme +${id} .* ago|just now .* good +local +yes`));
    expect(listed.stdout).toContain(String.raw`glo\nbex`);
    expect((await pgsilo(['unpin', file, 'acme', id])).exit).toBe(0);
    expect(documentOf(await pgsilo(['list', file, 'acme', '--json'])).backups[0]).not.toHaveProperty('pin');
    expect(await pgsilo(['list', file, 'nobody'])).toMatchObject({ exit: 1, stdout: '' });

    const shown = await pgsilo(['show', file, 'glo\nbex']);
    expect(shown.stdout).toContain(`pgsilo restore ${file} $'glo\\x0abex' --backup ${id}`);
    expect(shown.stdout).toContain('gzip -d < database.dump.gz | pg_restore');
    expect(documentOf(await pgsilo(['show', file, 'acme', id, '--json'])).manifest).toMatchObject({
      backup: id,
    });

    const verified = await pgsilo(['verify', file, '--level', 'decode']);
    expect(verified.exit).toBe(0);
    expect(verified.stdout).toMatch(/^ok {2}2 backups whole, .* at level decode in/);

    const kept = join(folder, 'store/vigia/units/acme', id, 'database.dump.gz');
    const bytes = await readFile(kept);
    await rm(kept);
    await writeFile(kept, bytes.subarray(0, -1));
    const broken = await pgsilo(['verify', file, '--json']);
    expect(broken.exit).toBe(1);
    expect(documentOf(broken)).toMatchObject({ status: 'failed', level: 'objects' });
    expect(documentOf(broken).checked).toContainEqual(
      expect.objectContaining({
        unit: 'acme',
        status: 'failed',
        error: expect.objectContaining({ code: 'sink.corrupt' }),
      }),
    );

    await writeFile(join(folder, 'store/vigia/units/acme', id, 'manifest.json'), '{}\n');
    const unreadable = await pgsilo(['list', file, '--json']);
    expect(unreadable.exit).toBe(1);
    expect(documentOf(unreadable).backups).toContainEqual(
      expect.objectContaining({ unit: 'acme', error: expect.objectContaining({ code: 'catalog.corrupt' }) }),
    );
    expect(await readdir(join(folder, 'store/vigia/units'))).toHaveLength(2);
  });

  it('say which sink lacks a backup', async () => {
    const { file, folder } = await project();
    await pgsilo(['backup', file, '--only', 'acme', '-q']);
    const more = {
      sinks: ['store', 'second'].map((path) => ({ use: 'local', name: path, path, fsync: false })),
    };
    const both = await pipelineFile(folder, { more });
    expect((await pgsilo(['list', both])).stdout).toContain('store, not in second');
    expect(documentOf(await pgsilo(['list', both, '--json'])).backups[0]).toMatchObject({
      sinks: ['store'],
      missingFrom: ['second'],
    });
    const unknown = await pgsilo(['list', both, '--sink', 'third']);
    expect(unknown.exit).toBe(2);
    expect(unknown.stderr).toContain('Its sinks: store, second.');
  });
});

describe('pgsilo plugins and schema', () => {
  it('list what is installed and describe one', async () => {
    const all = await pgsilo(['plugins', '--json']);
    expect(documentOf(all).plugins).toContainEqual(expect.objectContaining({ kind: 'sink', name: 'local' }));
    const one = await pgsilo(['plugins', 'local']);
    expect(one.stdout).toMatch(/^local {2}sink\n[^]*path {4}.*\n +string, required/);
    const near = await pgsilo(['plugins', 'zst']);
    expect(near).toMatchObject({ exit: 2, stdout: '' });
    expect(near.stderr).toContain('did you mean "zstd"?');
  });

  it('write a schema that knows the plugins', async () => {
    const { folder } = await project();
    const output = join(folder, 'schema.json');
    expect((await pgsilo(['schema', '--output', output])).stdout).toContain(`$schema=${output}`);
    const document = JSON.parse(await readFile(output, 'utf8'));
    expect(documentOf(await pgsilo(['schema']))).toEqual(document);
    expect(JSON.stringify(document)).toContain('"database-per-tenant"');
    expect((await pgsilo(['schema', '--output', join(folder, 'no/where.json')])).exit).toBe(2);
  });
});

describe('with a sink that cannot be looked at', { timeout: 120_000 }, () => {
  /** Two sinks with one backup of each unit, the second of which is then broken. */
  async function broken(required: boolean): Promise<{ file: string; folder: string; id: string }> {
    const sinks = [
      { use: 'local', path: 'store', fsync: false },
      { use: 'local', name: 'off-site', path: 'far', fsync: false, required },
    ];
    const { file, folder } = await project({ more: { sinks } });
    const document = documentOf(await pgsilo(['backup', file, '--json']));
    await rm(join(folder, 'far'), { recursive: true });
    await writeFile(join(folder, 'far'), 'no folder');
    return { file, folder, id: document.runs[0].report.run };
  }

  it.each([['list'], ['verify']])('that is required, %s stops', async (command) => {
    const { file } = await broken(true);
    const ended = await pgsilo([command, file]);
    expect(ended).toMatchObject({ exit: 3, stdout: '' });
    expect(ended.stderr).toMatch(/^error +sink off-site cannot be looked at/m);
  });

  it('that is not required, list shows the others, says so, and exits 1', async () => {
    const { file } = await broken(false);
    const ended = await pgsilo(['list', file]);
    expect(ended.exit).toBe(1);
    expect(ended.stdout.match(/local, off-site not looked at/g)).toHaveLength(2);
    expect(ended.stdout).not.toContain('not in');
    expect(ended.stderr).toMatch(/warning +what sink off-site holds is not in this list: .*far/);
    const document = documentOf(await pgsilo(['list', file, '--json']));
    expect(document.backups).toHaveLength(2);
    expect(document.backups[0]).toMatchObject({ sinks: ['local'], missingFrom: [] });
    expect(document.unseen).toMatchObject([{ sink: 'off-site', error: { code: 'sink.denied' } }]);
    const quiet = await pgsilo(['list', file, '--quiet']);
    expect(quiet.exit).toBe(1);
    expect(quiet.stderr).toContain('off-site');
    expect((await pgsilo(['list', file, '--sink', 'local'])).exit).toBe(0);
    expect((await pgsilo(['list', file, '--sink', 'off-site'])).exit).toBe(3);
    expect((await pgsilo(['list', file, 'nobody'])).stderr).toContain('sink off-site cannot be looked at');
  });

  it('that is not required, verify proves the others and is no success', async () => {
    const { file } = await broken(false);
    const ended = await pgsilo(['verify', file]);
    expect(ended.exit).toBe(1);
    expect(ended.stdout).toMatch(/not looked at .*off-site/);
    expect(ended.stdout).toMatch(/failed {2}2 backups whole, 1 sink not looked at/);
    const document = documentOf(await pgsilo(['verify', file, '--json']));
    expect(document).toMatchObject({ status: 'failed', missing: [], unseen: [{ sink: 'off-site' }] });
  });

  it.each([[true], [false]])(
    'required: %s: restore takes none by itself, and the one that is named',
    async (required) => {
      const { file, id } = await broken(required);
      const before = '2999-01-01T00:00:00Z';
      for (const parameters of [[], ['--before', before]]) {
        const ended = await pgsilo(['restore', file, 'acme', ...parameters]);
        expect(ended.exit).toBe(3);
        expect(ended.stderr).toMatch(/sink off-site cannot be looked at/);
        expect(ended.stderr).toMatch(/--from.* backup itself/s);
      }
      expect((await pgsilo(['restore', file, 'acme', '--from', 'local'])).exit).toBe(0);
      const named = await pgsilo(['restore', file, 'acme', '--backup', id]);
      expect(named.exit).toBe(required ? 3 : 0);
      expect(named.stderr).toContain('off-site');
      const unknown = await pgsilo(['restore', file, 'acme', '--backup', '20200101T000000Z-000000']);
      expect(unknown.stderr).toContain('sink off-site cannot be looked at');
    },
  );
});

describe('a backup that one sink lacks', { timeout: 120_000 }, () => {
  it('is listed as such, with what that means', async () => {
    const sinks = [
      { use: 'local', path: 'store', fsync: false },
      { use: 'local', name: 'off-site', path: 'far', fsync: false },
    ];
    const { file, folder } = await project({ more: { sinks } });
    await pgsilo(['backup', file]);
    expect((await pgsilo(['list', file])).stderr).not.toContain('no longer');
    await rm(join(folder, 'store'), { recursive: true });
    const ended = await pgsilo(['list', file]);
    expect(ended.exit).toBe(0);
    expect(ended.stdout).toContain('not in local');
    expect(ended.stderr).toMatch(/that sink never got the backup, or no longer has it/);
  });
});
