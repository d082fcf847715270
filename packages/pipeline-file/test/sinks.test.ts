import { expect, test } from 'vitest';
import { makeProject } from './project.ts';

const head = 'pipeline: shop\nsource: { use: databases, connection: service=shop }\n';

test('what a sink takes and how fast stand beside the options of its plugin', async () => {
  const project = await makeProject();
  const { sinks } = await project.load(`${head}timezone: Europe/Berlin
sinks:
  - { use: folder, path: /b, limits: { bytesPerSecond: 20MB } }
  - { use: folder, name: far, path: /c, accept: [monthly, yearly] }
`);
  expect(sinks.map(({ accept, bytesPerSecond }) => [accept, bytesPerSecond])).toEqual([
    [undefined, 20_000_000],
    [{ periods: ['monthly', 'yearly'], timezone: 'Europe/Berlin' }, undefined],
  ]);
});

test.each([
  ['accept: []', 'expected at least one entry'],
  ['accept: [fortnightly]', 'fortnightly'],
  ['limits: {}', 'the option "bytesPerSecond" is missing'],
  ['limits: { bytesPerSecond: 10B }', 'expected at least 1kB'],
  ['limits: { jobs: 2 }', 'unknown option "jobs"'],
  ['accept: [daily]', 'every sink takes only some backups'],
])('%s is a mistake', async (line, said) => {
  const project = await makeProject();
  expect(await project.mistakes(`${head}sinks:\n  - { use: folder, path: /b, ${line} }\n`)).toContain(said);
});
