import { execa } from 'execa';
import { glob, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
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
  const env = { ...cleanEnvironment({ PATH }), NO_COLOR: '1' };
  const options = { cwd, env, extendEnv: false, reject: false, all: true, stdin: 'ignore' } as const;
  const { exitCode, stdout, all } = await execa(program, parameters, options);
  return { status: exitCode, stdout, all };
}

async function ok(program: string, parameters: readonly string[], cwd?: string): Promise<string> {
  const { status, stdout, all } = await run(program, parameters, cwd);
  if (status !== 0) throw new Error(`${program} ${parameters.join(' ')} ended with ${status}:\n${all}`);
  return stdout;
}

const pgsilo = (...parameters: string[]) => ok(join(folder, 'node_modules/.bin/pgsilo'), parameters);
const install = ['install', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];

beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), 'pgsilo-packed-'));
  folder = join(parent, 'a user');
  await mkdir(folder);
  const copy = await copyWorkspace();
  try {
    for (const parameters of [
      ['node', 'tools/build.ts'],
      ['pnpm', '-r', '--filter=./packages/*', '--filter=./plugins/*', 'pack', '--pack-destination', parent],
    ] as const) {
      const { status, all } = await copy.run(...(parameters as readonly [string, ...string[]]));
      if (status !== 0) throw new Error(all);
    }
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
    expect(packed.length).toBeGreaterThanOrEqual(10);
    for (const file of packed) {
      const names = (await ok('tar', ['-tzf', file])).trim().split('\n');
      const others = names.filter(
        (name) => !/^package\/(dist\/.+\.(js|d\.ts)|package\.json|README\.md|LICENSE)$/.test(name),
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

  it('is found complete by npm, and runs', async () => {
    await ok('npm', ['ls', '--all', '--loglevel=error']);
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
  expect(JSON.parse(await pgsilo('backup', file, '--json'))).toMatchObject({ status: expect.anything() });
  const verified = await pgsilo('verify', file, '--level', 'decode');
  expect(verified).toMatch(/acme[\s\S]*globex/);
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
    await backUpTo('@acme/pgsilo-sink-sealed');
  });

  it('can be checked with the published suite', async () => {
    const files = await filesIn(page);
    await writeFiles(folder, {
      'my-sink.test.ts': files.get('my-sink.test.ts')!,
      'run.ts': `import { runChecks, sinkChecks } from '@pgsilo/testkit/conformance';
import { testContext } from '@pgsilo/testkit';
import plugin from './my-sink.ts';
const context = testContext();
const setup = { pipeline: 'test', folder: import.meta.dirname, log: context.log };
const factory = async () => ({
  sink: await plugin.create(plugin.options.parse({ path: 'checked' }), setup),
  traits: plugin.traits,
  largeBytes: 1_000_000,
  keysPerPage: 20,
});
for await (const { name, status, message } of runChecks(sinkChecks, factory, context))
  if (status === 'failed') console.log(name, message);
await context.dispose();
console.log(sinkChecks.length);`,
    });
    expect(Number(await ok('node', ['run.ts']))).toBeGreaterThan(20);
  });
});
