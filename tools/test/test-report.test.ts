import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { judge, readVitestReport, type TestReport } from '../test-report.ts';

function report(
  ...tests: [file: string, name: string, status: 'passed' | 'failed' | 'skipped'][]
): TestReport {
  return {
    tests: tests.map(([file, name, status]) => ({
      file,
      name,
      status,
      ...(status === 'failed' ? { message: 'not equal' } : {}),
    })),
    brokenFiles: [],
  };
}

test('counts passed and failed tests, and names what was skipped', () => {
  const tests = report(['a', 'x', 'passed'], ['a', 'y', 'failed'], ['b', 'z', 'skipped']);
  expect(judge(tests, 1, [], [])).toEqual({
    passed: 1,
    failed: 1,
    skipped: ['b > z'],
    failures: ['a > y: not equal'],
    problems: [],
  });
});

test.each([
  ['no report at all', undefined, 1, 'vitest left no report'],
  ['a report without a test', report(), 0, 'no test ran'],
  ['nothing but skipped tests', report(['a', 'x', 'skipped']), 0, 'no test ran'],
  ['a bad status after good tests', report(['a', 'x', 'passed']), 1, 'vitest ended with status 1'],
  ['a broken file', { ...report(['a', 'x', 'passed']), brokenFiles: ['b'] }, 1, 'b failed outside its tests'],
])('%s is a failure', (_what, tests, status, problem) => {
  expect(judge(tests, status, [], [])).toMatchObject({ failed: 1, problems: [problem] });
});

test.each([
  ['an absent file', 'c', 'must run, but is not there: c'],
  ['an absent suite', 'a > other', 'must run, but is not there: a > other'],
  ['a skipped test in a file', 'b', 'must run, but was skipped: b (suite > z)'],
  ['a skipped suite', 'b > suite', 'must run, but was skipped: b > suite (suite > z)'],
])('%s on the must-run list is a failure', (_what, entry, problem) => {
  const tests = report(['a', 'suite > x', 'passed'], ['b', 'y', 'passed'], ['b', 'suite > z', 'skipped']);
  expect(judge(tests, 0, [entry], [])).toMatchObject({ failed: 1, problems: [problem] });
  expect(judge(tests, 0, ['a', 'a > suite', 'a > suite > x', 'b > y'], [])).toMatchObject({ failed: 0 });
});

test('a skip that has a reason is none', () => {
  const tests = report(['b', 'suite > y', 'passed'], ['b', 'suite > z', 'skipped']);
  const excused = { skips: 'b > suite > z', because: 'it does not apply' };
  expect(judge(tests, 0, ['b', excused], []).problems).toEqual([]);
  expect(judge(tests, 0, ['b', { ...excused, skips: 'b > suite' }], []).problems).not.toEqual([]);
});

test('a filter holds only what it selected against the must-run list', () => {
  const tests = report(['a', 'x', 'passed'], ['b', 'y', 'skipped']);
  expect(judge(tests, 0, ['a', 'b', 'c'], ['a', 'b']).problems).toEqual(['must run, but was skipped: b (y)']);
  expect(judge(tests, 0, ['a', 'b', 'c'], ['-t', 'x']).problems).toEqual([]);
});

test("reads vitest's report", async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pgsilo-report-'));
  const file = join(folder, 'report.json');
  const one = { ancestorTitles: ['suite'], title: 'x', status: 'passed' };
  const said = `\u001B[31mError: no\n  ${'x'.repeat(400)}\n    at judge (/root/a.ts:3:1)\n    at /root/b.test.ts:7:9\n`;
  const testResults = [
    {
      name: '/root/a.test.ts',
      status: 'failed',
      assertionResults: [one, { ...one, title: 'y', status: 'pending' }],
    },
    {
      name: '/root/b.test.ts',
      status: 'failed',
      assertionResults: [{ ...one, status: 'failed', failureMessages: [said] }],
    },
  ];
  await writeFile(file, JSON.stringify({ testResults }));
  expect(await readVitestReport(file, '/root')).toEqual({
    tests: [
      { file: 'a.test.ts', name: 'suite > x', status: 'passed' },
      { file: 'a.test.ts', name: 'suite > y', status: 'skipped' },
      {
        file: 'b.test.ts',
        name: 'suite > x',
        status: 'failed',
        message: `Error: no   ${'x'.repeat(288)} (b.test.ts:7)`,
      },
    ],
    brokenFiles: ['a.test.ts'],
  });
  await writeFile(file, '{"half');
  expect(await readVitestReport(file, '/root')).toBeUndefined();
  await rm(folder, { recursive: true });
});
