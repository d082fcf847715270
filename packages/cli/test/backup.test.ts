import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { documentOf, pgsilo, pipelineFile, project } from './pgsilo.ts';

const hostile = 'ev\nil\u202E \u001b[31m--only=$(id)/../"';

/** What would move a terminal's cursor, colour it or turn text round. */
// oxlint-disable-next-line no-control-regex
const unsafe = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/;

describe('pgsilo backup', () => {
  it('backs up every unit, exits 0, and prints the sums on standard output', async () => {
    const { file, folder } = await project({ units: [{ name: 'acme' }, { name: hostile }, { name: '-q' }] });
    const ended = await pgsilo(['backup', file]);
    expect(ended).toMatchObject({ exit: 0 });
    expect(ended.stdout).toMatch(
      /^ok {2}vigia {2}\d{8}T\d{6}Z-[0-9a-f]{6}\n {2}3 units; 3\.0 kB → .* in \d+ ms\n$/,
    );
    expect(ended.stderr).toMatch(/info {3}acme: 1\.0 kB → \d+ B in/);
    expect(ended.stderr).toContain(String.raw`ev\nil\u{202e} \x1b[31m--only=$(id)/../"`);
    expect(ended.stdout + ended.stderr).not.toMatch(unsafe);
    expect((await readdir(join(folder, 'store/vigia/units'))).length).toBe(3);
  });

  it('with --json prints one document that holds the ids', async () => {
    const { file } = await project({ units: [{ name: 'acme', labels: { plan: 'pro' } }, { name: hostile }] });
    const parameters = [
      '--json',
      '--label',
      'release=2.4.0',
      '--pin',
      'before 2.4.0',
      '--until',
      '2999-01-01T00:00Z',
    ];
    const ended = await pgsilo(['backup', file, '--where', 'plan=pro', ...parameters]);
    expect(ended.exit).toBe(0);
    const { runs } = documentOf(ended);
    expect(runs).toHaveLength(1);
    expect(runs[0]).toMatchObject({
      file,
      pipeline: 'vigia',
      exit: 0,
      report: { status: 'ok', selected: true },
    });
    expect(runs[0].report.units).toEqual([
      expect.objectContaining({ unit: 'acme', backup: runs[0].report.run, status: 'good', bytes: 1000 }),
    ]);
    const { backups } = documentOf(await pgsilo(['list', file, '--json']));
    expect(backups).toEqual([
      expect.objectContaining({
        unit: 'acme',
        labels: { release: '2.4.0' },
        unitLabels: { plan: 'pro' },
        pin: expect.objectContaining({ reason: 'before 2.4.0', until: '2999-01-01T00:00:00.000Z' }),
      }),
    ]);
  });

  it('exits 1 when some failed, and says which, why and what next', async () => {
    const { file } = await project({
      units: [{ name: 'acme' }, { name: 'bad', status: 'failed' }, { name: 'gone', status: 'missing' }],
    });
    const ended = await pgsilo(['backup', file, '--no-progress']);
    expect(ended.exit).toBe(1);
    expect(ended.stdout).toContain('pg_dump of "bad" exited with 1 (source.failed)\n');
    expect(ended.stdout).toContain('Look at the server’s log.');
    expect(ended.stdout).toContain('the database "gone" does not exist (source.unit-missing)');
    expect(ended.stdout).toMatch(/partial {2}vigia .*\n {2}1 unit, 2 failed;/);
    expect(ended.stderr).not.toContain('info');
  });

  it('counts a damaged unit as not good', async () => {
    const { file } = await project({ units: [{ name: 'acme', status: 'damaged' }] });
    const ended = await pgsilo(['backup', file]);
    expect(ended.exit).toBe(1);
    expect(ended.stdout).toContain('0 units, 1 damaged');
  });

  it.each([
    ['required', 1, /not in sink vault: .*the bucket "vault" refuses the key \(sink.denied\)/],
    ['optional', 0, /warning {2}sink vault \(not required\) lacks/],
  ] as const)('with a %s sink that refuses exits %d', async (brokenSink, exit, text) => {
    const { file } = await project({ brokenSink, units: [{ name: 'acme' }] });
    const ended = await pgsilo(['backup', file]);
    expect(ended.exit).toBe(exit);
    expect(ended.stdout).toMatch(text);
  });

  it('exits 3 when nothing could be done, with the cause, and quietly says nothing else', async () => {
    const { file } = await project({ source: { unreachable: true } });
    const ended = await pgsilo(['backup', file, '--quiet']);
    expect(ended).toEqual({
      exit: 3,
      stdout: '',
      stderr:
        'error  nothing answers at 127.0.0.1:1\ncause  connect ECONNREFUSED 127.0.0.1:1\n' +
        ' next  Start the server.\n code  source.unreachable\n',
    });
  });

  it('is not begun with two sinks that are one place, however that is written', async () => {
    const { folder, file } = await project({ name: 'twice' });
    const described = JSON.parse(await readFile(file, 'utf8'));
    const store = join(folder, 'one');
    await mkdir(store);
    await symlink(store, join(folder, 'link'));
    for (const second of ['./one/', join(folder, 'link')]) {
      described.sinks = [
        { use: 'local', path: 'one' },
        { use: 'local', name: 'two', path: second },
      ];
      await writeFile(file, JSON.stringify(described));
      for (const command of ['validate', 'backup', 'prune']) {
        const ended = await pgsilo([command, file]);
        expect(ended.exit).toBe(2);
        expect(ended.stdout + ended.stderr).toContain('the sinks two and local are one and the same place');
      }
    }
  });

  it('says with --quiet that a sink which is not required got nothing, and prunes the others without a failure', async () => {
    const { folder, file } = await project({ name: 'half' });
    const described = JSON.parse(await readFile(file, 'utf8'));
    await writeFile(join(folder, 'no-folder'), '');
    described.sinks.push({ use: 'local', name: 'off', required: false, path: 'no-folder' });
    await writeFile(file, JSON.stringify({ ...described, retention: { last: 1 }, prune: 'after-backup' }));
    const ended = await pgsilo(['backup', file, '--quiet']);
    expect(ended.stderr).toMatch(/warn .*off/);
    expect(ended.exit).toBe(0);
  });

  it('runs several files one after another and exits with the worst', async () => {
    const { folder, file } = await project({ name: 'good' });
    const bad = await pipelineFile(folder, { name: 'bad', source: { unreachable: true } });
    const last = await pipelineFile(folder, {
      name: 'last',
      units: [{ name: 'x', status: 'failed' }, { name: 'y' }],
    });
    const ended = await pgsilo(['backup', file, bad, last, '--json', '--log-format', 'json']);
    expect(ended.exit).toBe(3);
    const { runs } = documentOf(ended);
    expect(runs.map(({ pipeline, exit }: any) => [pipeline, exit])).toEqual([
      ['good', 0],
      ['bad', 3],
      ['last', 1],
    ]);
    expect(runs[1].error).toEqual({
      code: 'source.unreachable',
      message: 'nothing answers at 127.0.0.1:1',
      hint: 'Start the server.',
    });
    const logs = ended.stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(logs).toContainEqual(expect.objectContaining({ level: 'error', code: 'source.unreachable' }));
    expect(logs).toContainEqual(expect.objectContaining({ level: 'info', unit: 'y', status: 'good' }));
  });

  it('touches nothing when one of several files is wrong', async () => {
    const { folder, file } = await project({ name: 'good' });
    const wrong = await pipelineFile(folder, { name: 'wrong', more: { sinc: [] } });
    const ended = await pgsilo(['backup', file, wrong, '--json']);
    expect(ended.exit).toBe(2);
    expect(documentOf(ended).error).toMatchObject({
      code: 'config.invalid',
      mistakes: [expect.objectContaining({ line: 1, path: expect.stringContaining('sinc') })],
    });
    expect(ended.stderr).toContain('one mistake; nothing was touched (config.invalid)');
    expect(await readdir(folder)).not.toContain('store');
  });

  it('ends in order at SIGTERM, exits 130 and leaves nothing half-committed', async () => {
    const { folder, file } = await project({
      units: [
        { name: 'slow', bytes: 1e6, milliseconds: 60_000 },
        { name: 'next', milliseconds: 60_000 },
      ],
      more: { limits: { jobs: 1 } },
    });
    const other = await pipelineFile(folder, { name: 'other' });
    const ended = await pgsilo(['backup', file, other, '--json'], {
      signals: [{ after: 'run begun', name: 'SIGTERM' }],
    });
    expect(ended.exit).toBe(130);
    const { runs } = documentOf(ended);
    expect(runs[0].report).toMatchObject({ status: 'aborted', error: { code: 'aborted' } });
    expect(runs[1]).toMatchObject({ exit: 130, error: { code: 'aborted' } });
    expect(ended.stderr).toContain('SIGTERM: ending processes and sessions');
    expect(documentOf(await pgsilo(['list', file, '--json'])).backups).toEqual([]);
    expect(await readdir(join(folder, 'store'))).not.toContain('other');
  });

  it('exits 3 when another run goes on, and waits for it with --wait', async () => {
    const { file } = await project({ units: [{ name: 'slow', bytes: 10_000, milliseconds: 4000 }] });
    const first = pgsilo(['backup', file]);
    await delay(1500);
    const [refused, waited] = await Promise.all([
      pgsilo(['backup', file, '-q']),
      pgsilo(['backup', file, '--wait', '1m']),
    ]);
    expect(refused).toMatchObject({ exit: 3, stderr: expect.stringContaining('run.locked') });
    expect(waited).toMatchObject({
      exit: 0,
      stderr: expect.stringMatching(
        /warn {3}waiting for another run of this pipeline to end: \d{8}T.* pid \d+ on .* begun/,
      ),
    });
    expect((await first).exit).toBe(0);
  });

  it('ends in order at a defect of a plugin, and exits 3', async () => {
    const { file } = await project({
      units: [{ name: 'slow', milliseconds: 60_000 }],
      source: { defect: true },
    });
    const ended = await pgsilo(['backup', file]);
    expect(ended.exit).toBe(3);
    expect(ended.stderr).toMatch(/error {2}a timer that nobody watches\n[^]*code {2}internal/);
    expect(documentOf(await pgsilo(['list', file, '--json'])).backups).toEqual([]);
  });

  it('ends at once at a second signal', async () => {
    const { file } = await project({ units: [{ name: 'deaf', milliseconds: 60_000, deaf: true }] });
    const begin = performance.now();
    const ended = await pgsilo(['backup', file], {
      signals: [
        { after: 'run begun', name: 'SIGINT' },
        { after: 'a second SIGINT', name: 'SIGINT' },
      ],
    });
    expect(ended).toMatchObject({ exit: 130, stdout: '', stderr: expect.stringContaining('at once') });
    expect(performance.now() - begin).toBeLessThan(8000);
  });

  it.each([
    [['--until', '2999-01-01T00:00Z'], '--until is given without --pin'],
    [['--pin', 'x', '--until', '2020-01-01T00:00Z'], 'lies in the past'],
    [['--pin', ' '], 'the reason of a pin is empty'],
    [['--wait', 'soon'], '--wait "soon" is no duration'],
    [['--where', 'plan'], '--where "plan" is not of the form name=value'],
    [['--label', 'a=1', '--label', 'a=2'], 'gives "a" more than once'],
    [['--only', 'nobody'], 'the pipeline has no unit "nobody"'],
  ])('refuses %j', async (parameters, message) => {
    const { file } = await project();
    const ended = await pgsilo(['backup', file, ...parameters]);
    expect(ended.exit).toBe(2);
    expect(ended.stderr).toContain(message);
  });
});
