import { execa } from 'execa';
import { glob, mkdir, mkdtemp, readFile, readdir, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { filesIn, writeFiles } from '../tools/test/page-files.ts';
import { copyWorkspace } from '../tools/test/workspace-copy.ts';
import { cleanEnvironment } from './services/pgsilo.ts';

/** Programs of the checkout that a user would have installed: Node, tsc. */
const programs = join(import.meta.dirname, '../node_modules/.bin');
const page = 'writing-a-plugin-outside.md';

let parent: string;
/** An empty folder of somebody who has only what is published. */
let folder: string;
let packed: string[];

async function run(program: string, parameters: readonly string[], cwd: string = folder) {
  const PATH = [join(folder, 'node_modules/.bin'), programs, process.env['PATH']].join(':');
  // npm may need what is said there of proxies and certificates.
  const extendEnv = program === 'npm';
  const env = { ...(extendEnv ? { PATH } : cleanEnvironment({ PATH })), NO_COLOR: '1' };
  const options = { cwd, env, extendEnv, reject: false, all: true, stdin: 'ignore' } as const;
  const { exitCode, stdout, all } = await execa(program, parameters, options);
  return { status: exitCode, stdout, all };
}

async function ok(program: string, parameters: readonly string[], cwd?: string): Promise<string> {
  const { status, stdout, all } = await run(program, parameters, cwd);
  if (status !== 0) throw new Error(`${program} ${parameters.join(' ')} ended with ${status}:\n${all}`);
  return stdout;
}

const pgsilo = (...parameters: string[]) => ok(join(folder, 'node_modules/.bin/pgsilo'), parameters);
const quick = ['--prefer-offline', '--fetch-retries=1', '--fetch-timeout=20000'];
const install = ['install', ...quick, '--no-audit', '--no-fund', '--loglevel=error'];

beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), 'pgsilo-packed-'));
  folder = join(parent, 'a user');
  await mkdir(folder);
  const copy = await copyWorkspace();
  try {
    const { status, all } = await copy.run('node', 'tools/pack.ts', parent);
    if (status !== 0) throw new Error(all);
  } finally {
    await copy.remove();
  }
  packed = [];
  for await (const file of glob('*.tgz', { cwd: parent })) packed.push(join(parent, file));
  await ok('npm', [...install, ...packed]);

  const rows = JSON.stringify(Array.from({ length: 5000 }, (_, id) => ({ id, text: `row ${id}` })));
  const files = await filesIn(page);
  await writeFiles(folder, {
    'tenants/acme': rows,
    'tenants/globex': '{}',
    'files-source.ts': await readFile(join(import.meta.dirname, 'services/files-source.ts'), 'utf8'),
    'my-sink.ts': files.get('my-sink.ts')!,
  });
}, 180_000);
afterAll(() => rm(parent, { recursive: true, force: true }));

describe('what is published', () => {
  it('holds what it needs and nothing else', async () => {
    expect(packed.length).toBeGreaterThanOrEqual(11);
    for (const file of packed) {
      const names = (await ok('tar', ['-tzf', file])).trim().split('\n');
      const others = names.filter(
        (name) =>
          !/^package\/(dist\/.+\.(js|d\.ts)|dist\/third-party-licenses\.txt|package\.json|README\.md|LICENSE)$/.test(
            name,
          ),
      );
      expect({ file, others }).toEqual({ file, others: [] });
      for (const name of ['package/LICENSE', 'package/README.md', 'package/package.json'])
        expect(names).toContain(name);
      const manifest = await ok('tar', ['-xzOf', file, 'package/package.json']);
      expect(manifest).not.toContain('workspace:');
      for (const [, path] of manifest.matchAll(/"\.\/((?:dist|src)\/[^"]+)"/g))
        expect(names).toContain(`package/${path}`);
      // What a package imports, it must bring.
      expect(manifest).not.toContain('./src/');
    }
  });

  it('can be imported by every name that it exports', async () => {
    const entries: string[] = [];
    for (const name of await readdir(join(folder, 'node_modules/@pgsilo'))) {
      const file = join(folder, 'node_modules/@pgsilo', name, 'package.json');
      const { exports } = JSON.parse(await readFile(file, 'utf8')) as { exports: Record<string, unknown> };
      entries.push(...Object.keys(exports).map((path) => `@pgsilo/${name}${path.slice(1)}`));
    }
    expect(entries).toContain('@pgsilo/testkit/conformance');
    const others = new Set(['@pgsilo/testkit/vitest']);
    const imports = entries.filter((name) => !others.has(name)).map((name) => `await import('${name}');`);
    await ok('node', ['--input-type=module', '-e', imports.join('\n')]);
  });

  it('is for the command one package, with the licenses of what it holds', async () => {
    const alone = join(parent, 'alone');
    await mkdir(alone);
    const own = packed.find((file) => /\/pgsilo-\d/.test(file))!;
    await ok('npm', [...install, own], alone);
    const names = await readdir(join(alone, 'node_modules'));
    expect(names.filter((name) => !name.startsWith('.')).toSorted()).toEqual(['openpgp', 'pgsilo']);
    const command = join(alone, 'node_modules/.bin/pgsilo');
    expect(await ok(command, ['plugins'], alone)).toMatch(/dumpall[\s\S]*gpg[\s\S]*azure/);
    expect(await ok(command, ['plugins', '@pgsilo/sink-s3'], alone)).toContain('bucket');
    const notices = join(alone, 'node_modules/pgsilo/dist/third-party-licenses.txt');
    expect(await readFile(notices, 'utf8')).toMatch(/\nzod \d[\s\S]*Permission is hereby granted/);
  });

  it('runs', async () => {
    expect(await pgsilo('--version')).toMatch(/^\d+\.\d+\.\d+$/);
    expect(await pgsilo('plugins')).toContain('database-per-tenant');
    expect((await stat(join(folder, 'node_modules/pgsilo/dist/main.js'))).mode & 0o111).not.toBe(0);
    for (const name of ['local', 'gzip', 'zstd', 'database-per-tenant'])
      expect(await pgsilo('plugins', name)).toContain(name);
    expect(JSON.parse(await pgsilo('schema'))).toHaveProperty('properties.source');
  });
});

async function backUpTo(use: string): Promise<string> {
  const place = use.replaceAll(/\W/g, '_');
  const file = `${place}.yaml`;
  const lines = [
    'pipeline: outside',
    'source: { use: ./files-source.ts, folder: tenants }',
    'transforms: [{ use: zstd }]',
    `sinks: [{ use: "${use}", path: ${place} }]`,
  ];
  await writeFile(join(folder, file), `${lines.join('\n')}\n`);
  await pgsilo('validate', file);
  await pgsilo('doctor', file);
  const { runs } = JSON.parse(await pgsilo('backup', file, '--json')) as { runs: { report: unknown }[] };
  expect(runs[0]?.report).toMatchObject({ status: 'ok' });
  const verified = await pgsilo('verify', file, '--level', 'decode');
  expect(verified).toContain('2 backups whole');
  let objects = 0;
  for await (const path of glob('**/content.json.zst', { cwd: join(folder, place) })) {
    objects += 1;
    expect((await stat(join(folder, place, path))).mode & 0o777).toBe(0o400);
  }
  expect(objects).toBe(2);
  return file;
}

describe('a plugin outside the repository', () => {
  it('is a file beside the pipeline file', async () => {
    await backUpTo('./my-sink.ts');
    expect(await pgsilo('plugins', './my-sink.ts')).toContain('sealed');
  });

  it('is an npm package, built against the published types', async () => {
    const source = join(parent, 'package');
    const files = await filesIn(page);
    await writeFiles(source, {
      'package.json': files.get('package.json')!,
      'tsconfig.json': files.get('tsconfig.json')!,
      'src/index.ts': files.get('my-sink.ts')!,
    });
    // The published packages, and the types of Node, which a user installs too.
    await writeFiles(source, { 'node_modules/.keep': '' });
    await ok('ln', ['-s', join(folder, 'node_modules/@pgsilo'), join(source, 'node_modules/@pgsilo')]);
    await ok('ln', ['-s', join(programs, '../@types'), join(source, 'node_modules/@types')]);
    await ok('tsc', ['-p', source]);
    await ok('npm', ['pack', '--pack-destination', parent, '--loglevel=error'], source);
    await ok('npm', [...install, join(parent, 'acme-pgsilo-sink-sealed-1.0.0.tgz')]);
    const file = await backUpTo('@acme/pgsilo-sink-sealed');
    expect(await pgsilo('list', file)).toMatch(/acme[\s\S]*globex/);
  });

  it('can be checked with the published suite', async () => {
    const files = await filesIn(page);
    await writeFiles(folder, { 'my-sink.test.ts': files.get('my-sink.test.ts')! });
    // What an author installs besides; it would take half a minute.
    await ok('ln', ['-s', await realpath(join(programs, '../vitest')), join(folder, 'node_modules/vitest')]);
    const report = join(parent, 'report.json');
    const { all } = await run('vitest', [
      'run',
      '--reporter=json',
      `--outputFile=${report}`,
      'my-sink.test.ts',
    ]);
    const { numPassedTests, numFailedTests } = JSON.parse(await readFile(report, 'utf8')) as Counts;
    if (numPassedTests === 0) throw new Error(all);
    expect(numFailedTests).toBe(0);
    expect(numPassedTests).toBeGreaterThan(20);
  });
});

interface Counts {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
}
