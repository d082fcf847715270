import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { documentOf, pgsilo, project } from './pgsilo.ts';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));

describe('the command line', () => {
  it('prints its version without importing anything, which is what makes it fast', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'pgsilo-version-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    await mkdir(join(folder, 'src'));
    for (const file of ['package.json', 'src/main.ts']) {
      await copyFile(new URL(`../${file}`, import.meta.url), join(folder, file));
    }
    const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'));
    const { status, stdout } = spawnSync(process.execPath, [join(folder, 'src/main.ts'), '--version']);
    expect({ status, stdout: stdout.toString() }).toEqual({ status: 0, stdout: `${version}\n` });
    expect(await pgsilo(['--version'])).toEqual({ exit: 0, stdout: `${version}\n`, stderr: '' });
  });

  it('shows help in groups, with examples', async () => {
    const { exit, stdout } = await pgsilo(['--help']);
    expect(exit).toBe(0);
    expect(stdout).toMatch(/Before a run:[^]*Back up:[^]*Look, prove, restore:[^]*Exit status:[^]*Examples:/);
    const backup = await pgsilo(['backup', '--help']);
    expect(backup.stdout).toMatch(
      /Options:[^]*--only <unit>[^]*Output:[^]*--json[^]*Examples:\n {2}pgsilo backup/,
    );
  });

  it('has no complaint when the reader of its help goes away', async () => {
    const child = spawn(process.execPath, [main, '--help'], { stdio: ['ignore', 'pipe', 'pipe'] });
    // As `| head -0` does, before anything was written.
    child.stdout.destroy();
    const said = child.stderr.setEncoding('utf8').toArray();
    const [exit] = await once(child, 'close');
    expect({ exit, stderr: (await said).join('') }).toEqual({ exit: 0, stderr: '' });
  });

  it('shows help and exits 2 when nothing is said', async () => {
    const ended = await pgsilo([]);
    expect(ended).toMatchObject({ exit: 2, stdout: '' });
    expect(ended.stderr).toContain('Usage: pgsilo');
  });

  it.each([
    [['bakup'], "unknown command 'bakup'", 'Did you mean backup?'],
    [['backup', 'f', '--onyl', 'x'], "unknown option '--onyl'", 'Did you mean --only?'],
    [['restore', 'f'], 'no unit is named', '`pgsilo list FILE`'],
    [['list', 'f', '--limit', '0'], "argument '0' is invalid", '`pgsilo list --help`'],
    [
      ['verify', 'f', '--level', 'deep'],
      'Allowed choices are objects, decode, restore',
      '`pgsilo verify --help`',
    ],
    [['list', 'f', 'u', 'more'], 'too many arguments', '`pgsilo list --help`'],
  ])('refuses %j with exit 2 and says what is near', async (parameters, message, next) => {
    const ended = await pgsilo([...parameters, '--json']);
    expect(ended.exit).toBe(2);
    expect(ended.stderr).toContain(message);
    expect(ended.stderr).toContain(next);
    expect(documentOf(ended).error).toMatchObject({ code: 'usage.invalid' });
  });

  it('colours only when asked to, and never against the will of NO_COLOR', async () => {
    const { file } = await project();
    const escape = '\u001b[';
    expect((await pgsilo(['plan', file])).stdout).not.toContain(escape);
    expect((await pgsilo(['plan', file], { env: { FORCE_COLOR: '1' } })).stdout).toContain(escape);
    const both = { FORCE_COLOR: '1', NO_COLOR: '1' };
    expect((await pgsilo(['plan', file], { env: both })).stdout).not.toContain(escape);
    expect((await pgsilo(['plan', file, '--no-color'], { env: { FORCE_COLOR: '1' } })).stdout).not.toContain(
      escape,
    );
  });

  it('shows stacks only at the debug level', async () => {
    const { file } = await project({ source: { unreachable: true } });
    const stack = /\n\s+at .*fake-source/;
    expect((await pgsilo(['plan', file])).stderr).not.toMatch(stack);
    const debug = await pgsilo(['plan', file, '--log-level', 'debug']);
    expect(debug).toMatchObject({ exit: 3 });
    expect(debug.stderr).toMatch(stack);
    expect(debug.stderr).toContain('caused by: Error: connect ECONNREFUSED');
  });

  it('survives a reader that goes away', { timeout: 120_000 }, async () => {
    const units = Array.from({ length: 300 }, (_, index) => ({ name: `tenant_${index}` }));
    const { file } = await project({ units });
    expect((await pgsilo(['backup', file, '-q'])).exit).toBe(0);
    const main = new URL('../src/main.ts', import.meta.url).pathname;
    const script = '"$0" "$1" list "$2" --json | head -n 1; echo "${PIPESTATUS[0]}"';
    const { stdout, stderr } = spawnSync('bash', ['-c', script, process.execPath, main, file], {
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    expect(stdout).toBe('{\n0\n');
    expect(documentOf(await pgsilo(['list', file, '--json'])).backups).toHaveLength(300);
    const table = await pgsilo(['list', file]);
    // Two pages, one heading, and the columns of the second under those of the first.
    const lines = table.stdout.trimEnd().split('\n');
    expect(lines).toHaveLength(302);
    expect(new Set(lines.slice(2).map((line) => line.indexOf('good'))).size).toBe(1);
  });

  it('finds out at validate that a plugin lacks what the contract demands', async () => {
    const halved = fileURLToPath(new URL('fixtures/halved-sink.ts', import.meta.url));
    const { folder } = await project({ more: { sinks: [{ use: halved }] } });
    const { exit, stdout } = await pgsilo(['validate', 'vigia.yaml'], { cwd: folder });
    expect(exit).toBe(2);
    expect(stdout).toMatch(/halved-sink\.ts" made an object without stat, list, remove, check/);
  });
});
