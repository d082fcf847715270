import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createFleet, tenants, writePipeline } from './services/fleet.ts';
import { gateFor, makeLarge } from './services/gate.ts';
import { pgsilo, pgsiloOk, startPgsilo, type CallOptions, type Running } from './services/pgsilo.ts';
import { startServer, type TestServer } from './services/server.ts';
import { filesIn, listed } from './services/stored.ts';

const fullSink = join(import.meta.dirname, 'fixtures', 'full-sink.ts');
const everything = ['@globals', 'acme', 'globex', 'vigia_master'];

/** Undefined where the test may mount file systems, else why not. */
function whyNoMounts(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'needs Linux and root, to mount';
  const folder = mkdtempSync(join(tmpdir(), 'pgsilo-mount-'));
  try {
    const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder]);
    if (status === 0) execFileSync('umount', [folder]);
    return status === 0 ? undefined : `mounting does not work here: ${String(stderr).trim()}`;
  } finally {
    rmdirSync(folder);
  }
}
const reason = whyNoMounts();

describe('a sink that fails', { timeout: 120_000 }, () => {
  let server: TestServer;
  let at: CallOptions;
  let run: Running | undefined;
  let pipelines = 0;
  const mounted: string[] = [];

  beforeAll(async () => {
    server = await startServer();
    await createFleet(server, tenants.slice(0, 2));
    await makeLarge(server, 'globex_db');
    at = { cwd: server.folder, env: { VIGIA_URL: server.url } };
  });
  afterEach(async () => {
    run?.kill('SIGKILL');
    await run?.result;
    run = undefined;
    for (const path of mounted.splice(0)) execFileSync('umount', ['--lazy', path]);
  });
  afterAll(async () => server?.stop());

  const mount = (path: string, options: string): void => {
    mkdirSync(path, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path]);
    mounted.push(path);
  };

  interface Two {
    readonly file: string;
    /** The folder of the sink `bad`; the one of `good` is beside it. */
    readonly bad: string;
  }

  /** A pipeline with a store of its own: a good sink and one that is about to fail. */
  const two = (more: { required?: boolean; bad?: string; transform?: string; limits?: string } = {}): Two => {
    pipelines += 1;
    const name = `sinks-${pipelines}`;
    const bad = join(server.folder, `bad-${pipelines}`);
    const use = more.bad ?? `{ use: local, path: ${bad}, name: bad, required: ${more.required ?? true} }`;
    const file = writePipeline(server, {
      name,
      sinks: `  - { use: local, path: ./good-${pipelines}, name: good }\n  - ${use}`,
      limits: `, attempts: 1${more.limits ?? ''}`,
      ...(more.transform === undefined ? {} : { transform: more.transform }),
    });
    return { file, bad };
  };

  /** What the run's document says of the sink `bad`: the codes of its failures, each once. */
  const codesOf = (document: any): string[] => {
    const { units } = document.runs[0].report;
    const sinks = units.flatMap((unit: any) => unit.sinks).filter((sink: any) => sink.sink === 'bad');
    return [...new Set<string>(sinks.flatMap((sink: any) => (sink.error ? [sink.error.code] : [])))].sort();
  };

  /** The good sink has all of it, proved by reading. */
  const expectGoodIsWhole = async (file: string): Promise<void> => {
    expect(await listed(file, at, '--sink', 'good')).toEqual(everything);
    const { checked } = (
      await pgsiloOk(['verify', file, '--level', 'decode', '--sink', 'good', '--json'], at)
    ).json<any>();
    expect(checked).toHaveLength(everything.length);
    expect(await server.sessionsOfPgsilo()).toEqual([]);
  };

  it.each([
    ['required', true, 1, 'partial'],
    ['not required', false, 0, 'ok'],
  ] as const)('that is %s and full leaves the other one complete', async (_, required, exit, status) => {
    const { file } = two({ bad: `{ use: "${fullSink}", name: bad, required: ${required} }` });
    const result = await pgsilo(['backup', file, '--json'], at);
    expect(result.exit).toBe(exit);
    const document = result.json<any>();
    expect(document.runs[0].report.status).toBe(status);
    expect(document.runs[0].report.warnings.join()).toMatch(required ? /^$/ : /bad .*lacks 4 of 4 units/);
    expect(codesOf(document)).toEqual(['sink.full']);
    expect(result.stderr).toContain('sink.full');
    await expectGoodIsWhole(file);
  });

  it('stops the run with 3 when no sink is left, and nothing is listed', async () => {
    const file = writePipeline(server, { name: 'alone', sinks: `  - { use: "${fullSink}", name: full }` });
    const result = await pgsilo(['backup', file, '--json'], at);
    expect(result.exit).toBe(3);
    const { units } = result.json<any>()['runs'][0].report;
    expect(units.map(({ unit }: any) => unit).sort()).toEqual(everything);
    expect(units.every((unit: any) => unit.status === 'failed' && unit.error.code === 'sink.full')).toBe(
      true,
    );
    expect(await server.sessionsOfPgsilo()).toEqual([]);
  });

  it.each(['there', 'above'] as const)(
    'that is a file (%s) is denied, and the file is left alone',
    async (where) => {
      const { file, bad } = two();
      writeFileSync(bad, 'mine');
      if (where === 'above') {
        const text = readFileSync(join(server.folder, file), 'utf8');
        writeFileSync(join(server.folder, file), text.replace(`path: ${bad}`, `path: ${bad}/below`));
      }
      const result = await pgsilo(['backup', file, '--json'], at);
      expect(result.exit).toBe(1);
      expect(codesOf(result.json())).toEqual(['sink.denied']);
      expect(result.stderr).toContain(bad);
      expect(readFileSync(bad, 'utf8')).toBe('mine');
      await expectGoodIsWhole(file);
    },
  );

  it('that cannot be read is named, with how to restore without it', async () => {
    const { file, bad } = two();
    await pgsiloOk(['backup', file], at);
    rmSync(bad, { recursive: true });
    writeFileSync(bad, 'mine');
    for (const command of [
      ['restore', file, 'acme', '--to', 'copy'],
      ['list', file],
      ['verify', file],
    ]) {
      const { exit, stderr } = await pgsilo(command, at);
      expect(exit).toBe(3);
      expect(stderr).toMatch(/^error +sink bad cannot be looked at/m);
      expect(stderr).toMatch(/next .*--from/s);
    }
    await pgsiloOk(['restore', file, 'acme', '--to', 'copy', '--from', 'good'], at);
    expect(await server.databases()).toContain('copy');
    await expectGoodIsWhole(file);
  });

  it('ends with 3 and one clear message when the only sink is a file', async () => {
    const path = join(server.folder, 'only');
    writeFileSync(path, 'mine');
    const file = writePipeline(server, { name: 'only', sinks: `  - { use: local, path: ./only }` });
    const result = await pgsilo(['backup', file], at);
    expect(result.exit).toBe(3);
    expect(result.stdout).toBe('');
    expect(result.stderr.match(/^ code .*sink\.denied/gm)).toHaveLength(1);
    expect(result.stderr).toMatch(/error .*only is no folder/);
    expect(readFileSync(path, 'utf8')).toBe('mine');
  });

  it.each(['removed', 'renamed', 'replaced'] as const)(
    'whose folder is %s in the middle is given up; nothing is written in its place',
    async (how) => {
      const gate = gateFor(server, 'globex', how);
      const { file, bad } = two({ transform: gate.transform });
      run = startPgsilo(['backup', file, '--json'], at);
      await gate.held();
      renameSync(bad, `${bad}-away`);
      if (how === 'removed') rmSync(`${bad}-away`, { recursive: true });
      if (how === 'replaced') mkdirSync(bad);
      gate.open();
      const result = await run.result;
      expect(result.exit).toBe(1);
      const document = result.json<any>();
      const globex = document.runs[0].report.units.find((unit: any) => unit.unit === 'globex');
      expect(globex.sinks).toMatchObject([
        { sink: 'good', status: 'stored' },
        { sink: 'bad', error: { code: 'sink.unreachable' } },
      ]);
      expect(filesIn(bad)).toEqual([]);
      const kept = filesIn(`${bad}-away`);
      expect(kept.filter((path) => path.includes('/units/globex/'))).toEqual([]);
      await expectGoodIsWhole(file);
    },
  );

  describe.skipIf(reason !== undefined)(
    `on a file system of its own${reason ? ` (skipped: ${reason})` : ''}`,
    () => {
      it('and runs full keeps whole backups of what fitted, and no part of the rest', async () => {
        // One after another, the largest first: no other unit meets a disk that its unfinished file fills.
        const { file, bad } = two({ limits: ', jobs: 1' });
        mount(bad, 'size=2m');
        const result = await pgsilo(['backup', file, '--json'], at);
        expect(result.exit).toBe(1);
        expect(codesOf(result.json())).toEqual(['sink.full']);
        const fitted = everything.filter((unit) => unit !== 'globex');
        expect(await listed(file, at, '--sink', 'bad')).toEqual(fitted);
        const kept = filesIn(bad);
        expect(kept.filter((path) => path.includes('globex') || path.includes('writing'))).toEqual([]);
        await pgsiloOk(['verify', file, ...fitted, '--level', 'decode', '--sink', 'bad'], at);
        await expectGoodIsWhole(file);
      });

      it('and is mounted read-only is denied', async () => {
        const { file, bad } = two({ required: false });
        mount(bad, 'size=1m,ro');
        const result = await pgsilo(['backup', file, '--json'], at);
        expect(result.exit).toBe(0);
        const document = result.json<any>();
        expect(codesOf(document)).toEqual(['sink.denied']);
        expect(document.runs[0].report.warnings.join()).toMatch(/bad .*lacks 4 of 4 units/);
        expect(result.stderr).toContain('EROFS');
        await expectGoodIsWhole(file);
      });

      it('and is unmounted in the middle is given up, and the folder beneath stays empty', async () => {
        const gate = gateFor(server, 'globex', 'unmounted');
        const { file, bad } = two({ transform: gate.transform });
        mount(bad, 'size=100m');
        run = startPgsilo(['backup', file, '--json'], at);
        await gate.held();
        execFileSync('umount', ['--lazy', mounted.pop()!]);
        gate.open();
        const result = await run.result;
        expect(result.exit).toBe(1);
        const globex = result.json<any>()['runs'][0].report.units.find((unit: any) => unit.unit === 'globex');
        expect(globex.sinks[1]).toMatchObject({ sink: 'bad', error: { code: 'sink.unreachable' } });
        expect(globex.sinks[1].error.hint).toMatch(/mounted/);
        expect(filesIn(bad)).toEqual([]);
        await expectGoodIsWhole(file);
      });
    },
  );

  it.skipIf(process.getuid?.() === 0)(
    'whose folder is not writable is denied (root may write anywhere)',
    async () => {
      const { file, bad } = two();
      mkdirSync(bad);
      chmodSync(bad, 0o500);
      const result = await pgsilo(['backup', file, '--json'], at);
      expect(result.exit).toBe(1);
      expect(codesOf(result.json())).toEqual(['sink.denied']);
      await expectGoodIsWhole(file);
    },
  );
});
