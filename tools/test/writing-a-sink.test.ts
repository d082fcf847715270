import { appendFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sinkChecks } from '@pgsilo/testkit/conformance';
import type { PluginDefinition } from '@pgsilo/plugin';
import { judge, laws } from '../plugin-laws.ts';
import { filesIn, writeFiles } from './page-files.ts';
import { copyWorkspace, type WorkspaceCopy } from './workspace-copy.ts';

const page = 'writing-a-sink.md';
const folder = 'plugins/sink-http-folder';
let copy: WorkspaceCopy;

beforeAll(async () => {
  copy = await copyWorkspace();
  const { status, all } = await copy.run('npm', 'run', 'new', '--', 'sink', 'http-folder');
  if (status !== 0) throw new Error(all);
});
afterAll(() => copy.remove());

async function runSuite(): Promise<Map<string, string>> {
  const report = join(copy.root, 'report.json');
  await copy.run('vitest', 'run', '--reporter=json', `--outputFile.json=${report}`, folder);
  const { testResults } = JSON.parse(await readFile(report, 'utf8')) as Report;
  const results = testResults.flatMap(({ assertionResults }) => assertionResults);
  return new Map(
    results.map(({ title, status, failureMessages }) => [title, [status, ...failureMessages].join('\n')]),
  );
}

interface Report {
  readonly testResults: readonly {
    readonly assertionResults: readonly {
      readonly title: string;
      readonly status: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

test('what the page shows of a red test is what is seen', async () => {
  const text = await readFile(join(copy.root, 'docs', page), 'utf8');
  const lines = /^× (.+)\n((?: .+\n)+)/m.exec(text);
  const seen = (await runSuite()).get(lines![1]!);
  for (const line of lines![2]!.trimEnd().split('\n')) expect(seen).toContain(line.trim());
});

test("the page's sink is green, formatted, free of lint, and keeps the laws", async () => {
  const files = await filesIn(page);
  expect([...files.keys()].every((path) => /^(src|test)\/[a-z.-]+\.ts$/.test(path))).toBe(true);
  await writeFiles(join(copy.root, folder), Object.fromEntries(files));
  await copy.run('node', 'tools/generate.ts');
  await writeFiles(copy.root, { 'CHANGELOG.md': '# Changelog\n' });
  await appendFile(join(copy.root, 'CHANGELOG.md'), '- Sink `http-folder`: a web server.\n');

  expect(await copy.run('tsc', '-p', folder)).toMatchObject({ status: 0, all: '' });
  expect(await copy.run('oxfmt', '--check', folder)).toMatchObject({ status: 0 });
  expect(await copy.run('oxlint', '--deny-warnings', folder)).toMatchObject({ status: 0 });

  const results = await runSuite();
  expect([...results.keys()]).toEqual(sinkChecks.map((check) => check.name));
  const others = [...results].filter(([, result]) => result !== 'passed');
  expect(others).toEqual([['sweep spares the living', 'skipped']]);

  const url = pathToFileURL(join(copy.root, folder, 'src/index.ts')).href;
  const { default: definition } = (await import(url)) as { default: PluginDefinition };
  for (const law of laws) {
    const plugin = { root: copy.root, folder, kind: 'sink', name: 'http-folder', definition } as const;
    expect([law.name, ...(await judge(plugin, law))]).toEqual([law.name]);
  }
});
