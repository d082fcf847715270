import { createHash } from 'node:crypto';
import { glob, lstat, mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sinkChecks } from '@pgsilo/testkit/conformance';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  pgsilo,
  pgsiloOk,
  startPgsilo,
  type CallOptions,
  type Ended,
  type Running,
} from './services/pgsilo.ts';
import { until } from './services/server.ts';

const fixture = (name: string): string => join(import.meta.dirname, name);
const all = sinkChecks.length;
const quick = sinkChecks.filter(({ cost }) => cost !== 'heavy').length;

// Several commands in each test, on machines that have other work too.
vi.setConfig({ testTimeout: 120_000 });

let folder: string;
let at: CallOptions;
/** All that lies in the store: what was backed up before any doctor came. */
let before: readonly string[];
let good: string;
const running: Running[] = [];

/** Writes a pipeline file; without a fault it is the local sink. All have the same store and the same pipeline. */
async function pipelineOf(fault?: string): Promise<string> {
  const file = `${fault?.replaceAll(' ', '-') ?? 'good'}.yaml`;
  const sink =
    fault === undefined
      ? { use: 'local', path: 'store' }
      : { use: fixture('fixtures/faulty-sink.ts'), path: 'store', fault };
  const source = { use: fixture('services/files-source.ts'), folder: 'tenants' };
  await writeFile(join(folder, file), JSON.stringify({ pipeline: 'vigia', source, sinks: [sink] }));
  return file;
}

/** Every folder and file of the store, with mode and content. */
async function treeOf(): Promise<string[]> {
  const lines: string[] = [];
  for await (const path of glob('**', { cwd: join(folder, 'store') })) {
    const full = join(folder, 'store', path);
    const found = await lstat(full);
    const content = found.isFile()
      ? createHash('sha256')
          .update(await readFile(full))
          .digest('hex')
      : 'folder';
    lines.push(`${path} ${(found.mode & 0o777).toString(8)} ${content}`);
  }
  return lines.sort();
}

/** Starts a doctor and waits until it has stored an object and stands still. */
async function pausedDoctor(): Promise<Running> {
  const run = startPgsilo(['doctor', await pipelineOf('pauses')], at);
  running.push(run);
  await until('the doctor has stored something', async () => run.said().includes('stored vigia/doctor/'), 60);
  expect((await treeOf()).length).toBeGreaterThan(before.length);
  return run;
}

const doctors = (): Promise<string[]> => readdir(join(folder, 'store/vigia/doctor'));

/** The backups that there are, and what a run would do. */
async function look(): Promise<unknown[]> {
  const list = await pgsiloOk(['list', good, '--json'], at);
  return [list.json(), (await pgsiloOk(['plan', good, '--json'], at)).json()];
}

interface Check {
  readonly area: string;
  readonly name: string;
  readonly status: string;
  readonly message: string;
  readonly promise?: string;
  readonly reason?: string;
}
const sinkLines = (ended: Ended): Check[] =>
  ended.json<{ checks: Check[] }>().checks.filter(({ area }) => area.startsWith('sink '));
const brokenOf = (ended: Ended): string[] =>
  sinkLines(ended).flatMap(({ promise, name }) => (promise === undefined ? [] : [name]));

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pgsilo-doctor-'));
  at = { cwd: folder };
  await mkdir(join(folder, 'tenants'));
  for (const tenant of ['acme', 'globex'])
    await writeFile(join(folder, 'tenants', tenant), `rows of ${tenant}`);
  good = await pipelineOf();
  await pgsiloOk(['backup', good], at);
  before = await treeOf();
});
afterEach(async () => {
  for (const run of running) run.kill('SIGKILL');
  await Promise.all(running.splice(0).map(({ result }) => result));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('pgsilo doctor on a sound store', () => {
  it.each([
    ['the quick promises', [], `${quick} of ${quick} promises kept in `],
    ['all of them with --full', ['--full'], `${all} of ${all} promises kept in `],
  ])('tries out %s, and leaves nothing', async (_what, more, message) => {
    const ended = await pgsiloOk(['doctor', good, ...more, '--json'], at);
    expect(ended.json()).toMatchObject({ status: 'ok' });
    const promises = sinkLines(ended).filter(({ name }) => name === 'promises');
    expect(promises).toMatchObject([{ status: 'ok', message: expect.stringContaining(message) }]);
    expect(promises[0]!.message.includes('--full')).toBe(more.length === 0);
    expect(await treeOf()).toEqual(before);
  });

  it('says it in one line, and the catalog and the plan stay as they were', async () => {
    const first = await look();
    expect(JSON.stringify(first)).toContain('globex');
    const ended = await pgsiloOk(['doctor', good], at);
    expect(ended.stdout).toMatch(
      new RegExp(`\\n  ok       promises +${quick} of ${quick} promises kept in \\d+\\.\\d s;`),
    );
    expect(ended.stderr).toBe('');
    expect(await look()).toEqual(first);
  });
});

describe('pgsilo doctor on a sink that breaks a promise', () => {
  it.each([
    ['hides dots', ['awkward keys']],
    ['removes one at a time', ['remove']],
  ])('%s: names it with its promise and its reason, exits 1 and leaves nothing', async (fault, names) => {
    const file = await pipelineOf(fault);
    const ended = await pgsilo(['doctor', file, '--json'], at);
    expect(ended.exit).toBe(1);
    expect(ended.json()).toMatchObject({ status: 'failed' });
    expect(brokenOf(ended)).toEqual(names);
    const { promise, reason } = sinkChecks.find(({ name }) => name === names[0])!;
    expect(sinkLines(ended)).toContainEqual(
      expect.objectContaining({ name: names[0], status: 'failed', promise, reason }),
    );
    expect(sinkLines(ended).at(-1)).toMatchObject({
      name: 'promises',
      status: 'failed',
      message: expect.stringContaining(`${quick - 1} of ${quick} promises kept`),
    });
    expect(await treeOf()).toEqual(before);

    const { exit, stdout } = await pgsilo(['doctor', file], at);
    expect(exit).toBe(1);
    expect(stdout).toContain(`  failed   broken promise      ${names[0]}: `);
    expect(stdout).toContain(`promise: ${promise}\n`);
    expect(stdout).toContain(`reason: ${reason}\n`);
  });

  it('lists everything: loses no backup by it', async () => {
    const ended = await pgsilo(['doctor', await pipelineOf('lists everything'), '--json'], at);
    expect(ended.exit).toBe(1);
    expect(await treeOf()).toEqual(before);
  });

  it('is found unable to be written to: the promises are not tried', async () => {
    const ended = await pgsilo(['doctor', await pipelineOf('cannot be written'), '--json'], at);
    expect(ended.exit).toBe(1);
    expect(sinkLines(ended).map(({ name }) => name)).toEqual(['write access']);
    expect(await treeOf()).toEqual(before);
  });

  it('fails once in a way that may pass: is asked again', async () => {
    const ended = await pgsiloOk(['doctor', await pipelineOf('fails once'), '--json'], at);
    expect(brokenOf(ended)).toEqual([]);
    expect(await treeOf()).toEqual(before);
  });
});

describe('pgsilo doctor that is ended', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('by %s removes what it stored and exits 130', async (signal) => {
    const run = await pausedDoctor();
    run.kill(signal);
    expect((await run.result).exit).toBe(130);
    expect(await treeOf()).toEqual(before);
  });

  it('by SIGKILL leaves what the next one removes a day later, and not before', async () => {
    const run = await pausedDoctor();
    run.kill('SIGKILL');
    await run.result;
    const [left, ...others] = await doctors();
    expect(others).toEqual([]);
    await pgsiloOk(['doctor', good], at);
    expect(await doctors()).toEqual([left]);

    const path = (name: string): string => join(folder, 'store/vigia/doctor', name);
    await rename(path(left!), path(left!.replace(/^\d{8}/, '20200229')));
    const ended = await pgsiloOk(['doctor', good], at);
    expect(ended.stderr).toContain('swept what a killed doctor left');
    const objects = (await treeOf()).filter((line) => !line.endsWith('folder'));
    expect(objects.filter((line) => line.includes('doctor'))).toEqual([]);
    // Folders of puts that the kill met half-way, and what they had written: the sink's own matter.
    for (const path of ['vigia/doctor', '.pgsilo~writing'])
      await rm(join(folder, 'store', path), { recursive: true, force: true });
  });

  it('while it goes on is seen by no list, and does not disturb another one', async () => {
    const first = await look();
    const run = await pausedDoctor();
    const stored = (await treeOf()).filter((line) => !before.includes(line));
    for (const line of stored) expect(line).toMatch(/^(vigia\/doctor[/ ]|\.pgsilo~writing)/);
    expect(await look()).toEqual(first);
    await pgsiloOk(['doctor', good], at);
    expect(await treeOf()).toEqual(expect.arrayContaining(stored));
    run.kill('SIGTERM');
    expect((await run.result).exit).toBe(130);
    expect(await treeOf()).toEqual(before);
  });
});

it('pgsilo doctor stores one tiny object where nothing can be removed, and names it', async () => {
  const ended = await pgsiloOk(['doctor', await pipelineOf('keeps what it has'), '--json'], at);
  const more = (await treeOf()).filter((line) => !before.includes(line) && !line.endsWith('folder'));
  expect(more).toHaveLength(1);
  const [key] = more[0]!.split(' ');
  expect((await lstat(join(folder, 'store', key!))).size).toBe(1);
  const [line] = sinkLines(ended).filter(({ name }) => name === 'promises');
  expect(line).toMatchObject({
    status: 'ok',
    message: expect.stringContaining(`stays at ${key}, held until 2999-`),
  });
  await rm(join(folder, 'store/vigia/doctor'), { recursive: true });
  expect(await treeOf()).toEqual(before);
});
