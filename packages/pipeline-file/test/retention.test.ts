import { describe, expect, test } from 'vitest';
import { makeProject } from './project.ts';

const head = 'pipeline: shop\nsource: { use: databases, connection: service=shop }\n';
const sinks = 'sinks: [{ use: folder, path: /b }]\n';

describe('retention', () => {
  test('of the pipeline holds for every sink that has none of its own, in the pipeline’s time zone', async () => {
    const project = await makeProject();
    const { sinks } = await project.load(`${head}timezone: Europe/Berlin
sinks:
  - { use: folder, path: /b }
  - { use: folder, name: far, path: /c, retention: { monthly: 12, timezone: Asia/Kathmandu } }
retention:
  last: 3
  within: 12h
  departed: 2y
  rules: [{ where: { plan: demo }, weekly: 4 }]
`);
    expect(sinks.map(({ retention }) => retention)).toEqual([
      {
        timezone: 'Europe/Berlin',
        last: 3,
        within: { count: 12, unit: 'hours' },
        departed: { count: 2, unit: 'years' },
        rules: [{ where: { plan: 'demo' }, weekly: 4 }],
      },
      { timezone: 'Asia/Kathmandu', monthly: 12, rules: [] },
    ]);
  });

  test('is in UTC where no zone is given, and absent where nothing is said', async () => {
    const project = await makeProject();
    const said = await project.load(`${head}${sinks}retention: { last: 1 }\nprune: after-backup\n`);
    expect([said.sinks[0]!.retention, said.prune]).toEqual([
      { timezone: 'UTC', last: 1, rules: [] },
      'after-backup',
    ]);
    const silent = await project.load(`${head}${sinks}`);
    expect([silent.sinks[0]!.retention, silent.prune]).toEqual([undefined, 'never']);
  });

  test('takes its numbers from placeholders', async () => {
    const project = await makeProject({ DAYS: '90', AGE: '4w' });
    const { sinks: read } = await project.load(
      `${head}${sinks}retention: { daily: "\${env:DAYS}", within: "\${env:AGE}" }\n`,
    );
    expect(read[0]!.retention).toMatchObject({ daily: 90, within: { count: 4, unit: 'weeks' } });
  });

  test.each([
    ['retention: {}', 'nothing says what to keep'],
    ['retention: { departed: 2y }', 'nothing says what to keep'],
    ['retention: { timezone: UTC }', 'nothing says what to keep'],
    ['retention: { last: 1, rules: [{ where: { plan: demo }, departed: 1y }] }', 'nothing says what to keep'],
    ['retention: { rules: [{ where: {}, last: 1 }] }', 'expected at least one label with its value'],
    ['retention: { rules: [{ last: 1 }] }', 'the option "where" is missing'],
    ['retention: { last: 0 }', 'expected at least 1'],
    ['retention: { last: 1.5 }', 'expected a whole number'],
    ['retention: { within: 30 days }', 'expected a time such as 12h, 30d, 8w or 2y'],
    ['retention: { within: 0d }', 'expected a time such as'],
    ['retention: { dayly: 3 }', 'did you mean "daily"?'],
    ['retention: { last: 1, timezone: Europe/Berln }', 'did you mean "Europe/Berlin"?'],
    ['prune: after-backup', 'there is no retention: all backups would be kept'],
    ['retention: { last: 1 }\nprune: always', 'expected "after-backup" or "never", not "always"'],
  ])('%s is a mistake', async (text, said) => {
    const project = await makeProject();
    expect(await project.mistakes(`${head}${sinks}${text}\n`)).toContain(said);
  });

  test('of one sink is enough for a prune after each backup', async () => {
    const project = await makeProject();
    const read = await project.load(
      `${head}sinks: [{ use: folder, path: /b, retention: { last: 3 } }]\nprune: after-backup\n`,
    );
    expect(read.prune).toBe('after-backup');
  });

  test('does not make two sinks of one place look different', async () => {
    const project = await makeProject();
    const read = await project.load(
      `${head}sinks: [{ use: folder, path: /b }, { use: folder, name: b, path: /b, retention: { last: 3 } }]\n`,
    );
    expect(read.warnings.map(({ message }) => message)).toEqual(['this is the same place as sinks[0]']);
  });
});
