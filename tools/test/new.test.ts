import { access, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sinkChecks, sourceChecks, transformChecks } from '@pgsilo/testkit/conformance';
import { copyWorkspace, type Outcome, type WorkspaceCopy } from './workspace-copy.ts';

// A name of several words, longer than those in the templates.
const name = 'newly-made-store';
const made = [
  { kind: 'sink', checks: sinkChecks, optional: ['sweep spares the living'] },
  { kind: 'transform', checks: transformChecks, optional: [] },
  { kind: 'source', checks: sourceChecks, optional: ['inspect', 'compare', 'lock'] },
] as const;

let copy: WorkspaceCopy;
const outcomes: Record<string, Outcome> = {};
beforeAll(async () => {
  copy = await copyWorkspace();
  for (const { kind } of made) outcomes[kind] = await copy.run('npm', 'run', 'new', '--', kind, name);
});
afterAll(() => copy.remove());

test('makes a package, renews what is generated, and installs', async () => {
  for (const { kind } of made) {
    expect(outcomes[kind]).toMatchObject({ status: 0 });
    expect(outcomes[kind]!.all).toContain(`plugins/${kind}-${name} is there, and \`use: ${name}\` finds it`);
  }
  const calls = await readFile(join(copy.root, '../calls'), 'utf8');
  expect(calls.match(/install --no-frozen-lockfile/g)).toHaveLength(made.length);
  expect(await copy.run('node', 'tools/generate.ts', '--check')).toMatchObject({ status: 0 });
  expect(await readFile(join(copy.root, 'docs/plugins.md'), 'utf8')).toContain(`../plugins/sink-${name}/`);
});

test('type-checks, is formatted and lint-free', async () => {
  for (const { kind } of made) {
    const folder = `plugins/${kind}-${name}`;
    expect(await copy.run('tsc', '-p', folder)).toMatchObject({ status: 0, all: '' });
    expect(await copy.run('oxfmt', '--check', folder)).toMatchObject({ status: 0 });
    expect(await copy.run('oxlint', '--deny-warnings', folder)).toMatchObject({ status: 0 });
  }
});

test('nothing of the templates is left in it', async () => {
  for (const { kind } of made) {
    const folder = join(copy.root, 'plugins', `${kind}-${name}`);
    const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter(
      (entry) => entry.isFile() && !entry.parentPath.includes('node_modules'),
    );
    expect(files.map((file) => file.name)).toContain('conformance.test.ts');
    for (const file of files)
      expect(await readFile(join(file.parentPath, file.name), 'utf8')).not.toMatch(/newcomer/i);
  }
});

test('`use:` finds it', async () => {
  const command = join(copy.root, 'packages/cli/src/main.ts');
  const { stdout } = await copy.run('node', command, 'plugins', name, '--json');
  const { plugins } = JSON.parse(stdout) as { plugins: { kind: string; name: string }[] };
  expect(plugins.map((plugin) => plugin.kind).sort()).toEqual(['sink', 'source', 'transform']);
  expect(new Set(plugins.map((plugin) => plugin.name))).toEqual(new Set([name]));
});

describe('the suite of a new plugin is red, and each message says what to write and where', () => {
  let report: { testResults: { name: string; assertionResults: Assertion[] }[] };
  interface Assertion {
    readonly title: string;
    readonly status: string;
    readonly failureMessages: readonly string[];
  }
  beforeAll(async () => {
    const folders = made.map(({ kind }) => `plugins/${kind}-${name}`);
    await copy.run('vitest', 'run', '--reporter=json', '--outputFile.json=report.json', ...folders);
    report = JSON.parse(await readFile(join(copy.root, 'report.json'), 'utf8')) as typeof report;
  });

  test.each(made)('$kind', ({ kind, checks, optional }) => {
    const file = report.testResults.find((result) => result.name.includes(`${kind}-${name}`));
    const results = file?.assertionResults ?? [];
    expect(results.map(({ title }) => title)).toEqual(checks.map((check) => check.name));
    const red = results.filter(({ status }) => status === 'failed');
    // Checks of methods that a plugin need not have are skipped.
    const others = results.filter(({ status }) => status !== 'failed').map(({ title }) => title);
    expect(others.sort()).toEqual([...optional].sort());
    for (const { failureMessages } of red)
      expect(failureMessages.join()).toMatch(
        new RegExp(`plugins/${kind}-${name}/\\S+\\.ts: write \\w+\\(\\)`),
      );
  });
});

test('refuses what cannot be, and touches nothing then', async () => {
  const refused = (...parameters: string[]): Promise<Outcome> =>
    copy.run('node', 'tools/new.ts', ...parameters);
  expect(await refused('sink')).toMatchObject({
    status: 2,
    all: expect.stringContaining('Usage: npm run new'),
  });
  expect(await refused('sinks', 'foo')).toMatchObject({ status: 2 });
  for (const bad of ['Foo', 'foo_bar', '../foo', '-foo', 'foo--bar', 'x'.repeat(41)])
    expect(await refused('sink', bad)).toMatchObject({ status: 2 });
  const options = join(copy.root, `plugins/sink-${name}/src/options.ts`);
  const before = await readFile(options, 'utf8');
  expect(await refused('sink', name)).toMatchObject({
    status: 1,
    all: `plugins/sink-${name} is there already`,
  });
  expect(await readFile(options, 'utf8')).toBe(before);
  await expect(access(join(copy.root, 'plugins/sink-foo'))).rejects.toThrow('ENOENT');
});
