import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findBreaches, type Edge } from '../boundaries.ts';
import { readProjects } from '../workspace.ts';

const w = 'workspace:*';
const good: Readonly<Record<string, object | string>> = {
  'packages/plugin/package.json': { name: '@pgsilo/plugin', dependencies: { zod: '^4' } },
  'packages/plugin/src/index.ts': `import { z } from 'zod'; import './b.ts';`,
  'packages/engine/package.json': {
    name: '@pgsilo/engine',
    dependencies: { '@pgsilo/plugin': w },
    devDependencies: { '@pgsilo/testkit': w },
  },
  'packages/engine/src/index.ts': `import type { Sink } from '@pgsilo/plugin'; import { x } from '@pgsilo/plugin/blocks';`,
  'packages/engine/src/index.test.ts': `import '@pgsilo/testkit'; import { test } from 'vitest';`,
  'packages/postgres/package.json': {
    name: '@pgsilo/postgres',
    dependencies: { '@pgsilo/plugin': w, pg: '8' },
  },
  'packages/testkit/package.json': { name: '@pgsilo/testkit', dependencies: { '@pgsilo/plugin': w } },
  'packages/cli/package.json': {
    name: 'pgsilo',
    dependencies: { '@pgsilo/engine': w, '@pgsilo/sink-local': w, '@pgsilo/testkit': w },
  },
  'packages/cli/src/main.ts': `import '@pgsilo/engine'; await import('@pgsilo/sink-local'); await import(process.argv[2]!);`,
  'packages/cli/src/doctor.ts': `const suite = await import('@pgsilo/testkit/conformance');`,
  'plugins/sink-local/package.json': {
    name: '@pgsilo/sink-local',
    dependencies: { '@pgsilo/plugin': w },
    devDependencies: { '@pgsilo/testkit': w },
  },
  'plugins/sink-local/src/index.ts': `import { x } from '@pgsilo/plugin'; import fs from 'node:fs';`,
  'plugins/sink-local/test/sink.test.ts': `import '@pgsilo/testkit/conformance'; import '../src/index.ts';`,
  'plugins/source-one/package.json': {
    name: '@pgsilo/source-one',
    dependencies: { '@pgsilo/postgres': w },
  },
  'plugins/source-one/src/index.ts': `export { y } from '@pgsilo/postgres';`,
};

let parent: string;
let count = 0;
beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), 'pgsilo-boundaries-'));
});
afterAll(() => rm(parent, { recursive: true, force: true }));

async function breaches(change: Record<string, object | string>, edges: Edge[] = []): Promise<string[]> {
  const root = join(parent, String((count += 1)));
  for (const [path, content] of Object.entries({ ...good, ...change })) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), typeof content === 'string' ? content : JSON.stringify(content));
  }
  return findBreaches(await readProjects(root, { imports: true }), edges);
}

test('a workspace that keeps every rule has no breach', async () => {
  const edges = [
    { source: 'pgsilo', target: '@pgsilo/sink-local' },
    { source: '@pgsilo/engine', target: '@pgsilo/testkit' },
    { source: '@pgsilo/engine', target: 'npm:zod' },
  ];
  expect(await breaches({}, edges)).toEqual([]);
});

describe('an import is refused', () => {
  const cases: readonly [rule: string, file: string, code: string, breach: string][] = [
    [
      'the contract imports the engine',
      'packages/plugin/src/b.ts',
      `import '@pgsilo/engine'`,
      'must not import @pgsilo/engine',
    ],
    [
      "the contract's test imports the testkit",
      'packages/plugin/test/b.test.ts',
      `import '@pgsilo/testkit'`,
      'must not import @pgsilo/testkit',
    ],
    [
      'the engine imports postgres, for a type only',
      'packages/engine/src/b.ts',
      `import type { X } from '@pgsilo/postgres'`,
      'must not import @pgsilo/postgres',
    ],
    [
      'the engine imports pg',
      'packages/engine/src/b.ts',
      `import pg from 'pg'`,
      'the engine must not know pg',
    ],
    [
      'the engine imports the testkit outside its tests',
      'packages/engine/src/b.ts',
      `import '@pgsilo/testkit'`,
      'must not import @pgsilo/testkit',
    ],
    [
      'the testkit imports the engine',
      'packages/testkit/src/b.ts',
      `export * from '@pgsilo/engine'`,
      'must not import @pgsilo/engine',
    ],
    [
      'the command imports a plugin statically',
      'packages/cli/src/b.ts',
      `import x from '@pgsilo/sink-local'`,
      'must not import @pgsilo/sink-local',
    ],
    [
      'the command imports the testkit before it needs it',
      'packages/cli/src/b.ts',
      `import { x } from '@pgsilo/testkit/conformance'`,
      'must not import @pgsilo/testkit',
    ],
    [
      'the engine imports the testkit dynamically',
      'packages/engine/src/b.ts',
      `await import('@pgsilo/testkit')`,
      'must not import @pgsilo/testkit',
    ],
    [
      'the engine imports a plugin dynamically',
      'packages/engine/src/b.ts',
      `await import('@pgsilo/sink-local')`,
      'must not import @pgsilo/sink-local',
    ],
    [
      'a sink imports postgres',
      'plugins/sink-local/src/b.ts',
      `import '@pgsilo/postgres'`,
      'must not import @pgsilo/postgres',
    ],
    [
      'a plugin imports the engine in a test',
      'plugins/sink-local/test/b.test.ts',
      `import '@pgsilo/engine'`,
      'must not import @pgsilo/engine',
    ],
    [
      'a source imports another plugin',
      'plugins/source-one/src/b.ts',
      `import '@pgsilo/sink-local'`,
      'must not import @pgsilo/sink-local',
    ],
    [
      'a relative path leaves its package',
      'packages/engine/src/b.ts',
      `import '../../plugin/src/index.ts'`,
      'leaves packages/engine',
    ],
    ['a path is absolute', 'packages/engine/src/b.ts', `import '/tmp/x.ts'`, 'absolute path /tmp/x.ts'],
    [
      'a package is used that is not declared',
      'packages/engine/src/b.ts',
      `import { execa } from 'execa'`,
      'execa is not among the dependencies in packages/engine/package.json',
    ],
  ];
  test.each(cases)('%s', async (_rule, file, code, breach) => {
    expect(await breaches({ [file]: `\n${code};\n` })).toEqual([
      expect.stringMatching(`^${file}:2: .*${breach}`),
    ]);
  });
});

describe('a package.json is refused', () => {
  const cases: readonly [rule: string, folder: string, manifest: object, breach: string][] = [
    [
      'the engine depends on pg',
      'packages/engine',
      { name: '@pgsilo/engine', dependencies: { '@pgsilo/plugin': w }, devDependencies: { pg: '8' } },
      'must not know pg',
    ],
    [
      'postgres depends on the engine',
      'packages/postgres',
      { name: '@pgsilo/postgres', dependencies: { '@pgsilo/engine': w } },
      'must not depend on @pgsilo/engine',
    ],
    [
      'postgres depends on a plugin',
      'packages/postgres',
      { name: '@pgsilo/postgres', devDependencies: { '@pgsilo/sink-local': w } },
      'must not depend on @pgsilo/sink-local',
    ],
    [
      'a plugin ships the testkit',
      'plugins/source-one',
      { name: '@pgsilo/source-one', dependencies: { '@pgsilo/postgres': w, '@pgsilo/testkit': w } },
      'must not depend on @pgsilo/testkit',
    ],
    [
      'a version of a sibling is fixed',
      'packages/postgres',
      { name: '@pgsilo/postgres', dependencies: { '@pgsilo/plugin': '^0.1.0' } },
      'must be "workspace:\\*"',
    ],
  ];
  test.each(cases)('%s', async (_rule, folder, manifest, breach) => {
    const file = `${folder}/package.json`;
    expect(await breaches({ [file]: manifest })).toEqual([expect.stringMatching(`^${file}: .*${breach}`)]);
  });
});

test.each([
  ['@pgsilo/plugin', '@pgsilo/engine'],
  ['@pgsilo/engine', '@pgsilo/postgres'],
  ['@pgsilo/engine', '@pgsilo/sink-local'],
  ['@pgsilo/testkit', '@pgsilo/engine'],
  ['@pgsilo/sink-local', '@pgsilo/postgres'],
  ['@pgsilo/postgres', 'pgsilo'],
])("nx's graph: %s depends on %s", async (source, target) => {
  expect(await breaches({}, [{ source, target }])).toEqual([
    `nx graph: ${source} must not depend on ${target}`,
  ]);
});
