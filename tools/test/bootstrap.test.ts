import { execa } from 'execa';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

const tools = join(import.meta.dirname, '..');
let parent: string;
let root: string;

// A workspace of its own, with an npx in front of PATH that does what this file tells it instead of using the network.
const fakeNpx = `#!/bin/sh
echo "$@" >> "$CALLS"
case "$*" in *--version*) exit \${VERSION_STATUS:-0};; esac
mkdir -p node_modules/.bin
[ -z "$HANG" ] || { touch hanging; exec sleep 60; }
[ "\${INSTALL_STATUS:-0}" = 0 ] || exit $INSTALL_STATUS
ln -sf "$NODE" node_modules/.bin/node
`;

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'pgsilo-bootstrap-'));
  root = join(parent, 'a repository');
  await mkdir(join(root, 'tools'), { recursive: true });
  await cp(join(tools, 'bootstrap.mjs'), join(root, 'tools/bootstrap.mjs'));
  await cp(join(tools, 'setup'), join(root, 'tools/setup'), { recursive: true });
  await writeFile(join(root, 'package.json'), '{}');
  await mkdir(join(parent, 'bin'));
  await writeFile(join(parent, 'bin/npx'), fakeNpx);
  await chmod(join(parent, 'bin/npx'), 0o755);
});
afterEach(() => rm(parent, { recursive: true, force: true }));

function bootstrap(parameters: string[], env: Record<string, string> = {}) {
  const PATH = `${join(parent, 'bin')}:${process.env['PATH']}`;
  return execa(process.execPath, [join(root, 'tools/bootstrap.mjs'), ...parameters], {
    env: { PATH, CALLS: join(parent, 'calls'), NODE: process.execPath, ...env },
    cwd: parent,
    reject: false,
    stdin: 'ignore',
  });
}

async function installs(): Promise<number> {
  const calls = await readFile(join(parent, 'calls'), 'utf8').catch(() => '');
  return calls.split('\n').filter((line) => line.includes(' install ')).length;
}

test('sets up once, from any folder, and again when a package.json changed', async () => {
  const print = ['node', '-p', 'process.env.PATH.split(":")[0]'];
  expect((await bootstrap(print)).stdout).toBe(join(root, 'node_modules/.bin'));
  expect((await bootstrap(print)).stderr).toBe('');
  expect(await installs()).toBe(1);
  await mkdir(join(root, 'plugins/sink-new'), { recursive: true });
  await writeFile(join(root, 'plugins/sink-new/package.json'), '{}');
  await bootstrap(print);
  expect(await installs()).toBe(2);
  await rm(join(root, 'node_modules'), { recursive: true });
  expect((await bootstrap(print)).exitCode).toBe(0);
  expect(await installs()).toBe(3);
});

test('two at once set up once', async () => {
  const both = await Promise.all([bootstrap(['true']), bootstrap(['true'])]);
  expect(both.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
  expect(await installs()).toBe(1);
});

test('a set-up that was killed starts again from nothing', async () => {
  const killed = bootstrap(['true'], { HANG: '1' });
  await expect.poll(() => existsSync(join(root, 'hanging'))).toBe(true);
  await writeFile(join(root, 'node_modules/half'), '');
  killed.kill('SIGTERM');
  expect((await killed).signal).toBe('SIGTERM');
  expect((await bootstrap(['true'])).exitCode).toBe(0);
  expect(existsSync(join(root, 'node_modules/half'))).toBe(false);
});

test('a failed install is said and not taken for done', async () => {
  const failed = await bootstrap(['true'], { INSTALL_STATUS: '1' });
  expect(failed).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('npm run deps') });
  expect((await bootstrap(['true'], { INSTALL_STATUS: '1' })).exitCode).toBe(1);
  expect((await bootstrap(['true'])).exitCode).toBe(0);
});

test('an npx that cannot run pnpm gets a fresh cache, then an explanation', async () => {
  const failed = await bootstrap(['true'], { VERSION_STATUS: '7' });
  expect(failed).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('pnpm could not be fetched') });
  expect(failed.stderr).toContain('fresh cache');
});

test('the exit status and signals pass through', async () => {
  expect((await bootstrap(['node', '-e', 'process.exit(42)'])).exitCode).toBe(42);
  const script = `process.on('SIGTERM', () => process.exit(9)); console.log('up'); setInterval(() => {}, 1000)`;
  const running = bootstrap(['node', '-e', script]);
  running.stdout?.once('data', () => running.kill('SIGTERM'));
  expect((await running).exitCode).toBe(9);
  const dying = bootstrap(['node', '-e', `console.log('up'); setInterval(() => {}, 1000)`]);
  dying.stdout?.once('data', () => dying.kill('SIGINT'));
  expect((await dying).signal).toBe('SIGINT');
  expect((await bootstrap(['no-such-program'])).stderr).toContain('no-such-program could not be started');
});

test("missing PostgreSQL programs are said before anything else, with each system's install line", async () => {
  const module = join(root, 'tools/setup/postgres-programs.mjs');
  const script = `const { missingPostgres } = await import(process.argv[1]);
    console.log(missingPostgres({ PATH: process.argv[2], PGSILO_PG_BIN: process.argv[3] }, [process.argv[4]]));`;
  const ask = async (path: string, own: string, place: string): Promise<string> =>
    (await execa('node', ['--input-type=module', '-e', script, module, path, own, place])).stdout;
  const names = ['initdb', 'pg_ctl', 'postgres', 'psql', 'pg_dump', 'pg_dumpall', 'pg_restore'];
  await mkdir(join(parent, 'pg/17/bin'), { recursive: true });
  const none = await ask('/none', '', `${parent}/pg/*/bin`);
  for (const line of [
    'server programs (initdb',
    'client programs (psql',
    'apt-get install',
    'dnf install',
    'brew',
  ]) {
    expect(none).toContain(line);
  }
  for (const name of names) await writeFile(join(parent, 'pg/17/bin', name), '');
  expect(await ask('/none', '', `${parent}/pg/*/bin`)).toBe('undefined');
  expect(await ask('/none', join(parent, 'pg/17/bin'), '/none')).toBe('undefined');
  await rm(join(parent, 'pg/17/bin/pg_dumpall'));
  expect(await ask(join(parent, 'pg/17/bin'), '', '/none')).toMatch(
    /^PostgreSQL's client programs \(pg_dumpall\) were/,
  );
});
