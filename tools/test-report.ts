import { readFile } from 'node:fs/promises';
import { relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { z } from 'zod';

/** Characters of a reason in the summary; the whole of it stands further up. */
const longestReason = 300;

/** One test as it ended; `name` is its describe blocks and its own title, joined by ` > `. */
export interface TestResult {
  readonly file: string;
  readonly name: string;
  readonly status: 'passed' | 'failed' | 'skipped';
  /** Why it failed: the first lines. */
  readonly message?: string;
}

export interface TestReport {
  readonly tests: readonly TestResult[];
  /** Files that failed as a whole: they could not be imported, or a hook around all their tests threw. */
  readonly brokenFiles: readonly string[];
}

export interface Verdict {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: readonly string[];
  /** Each test that failed, with the reason: a log may be kept from its end only. */
  readonly failures: readonly string[];
  /** What counts as failed besides the tests that vitest itself reports so. */
  readonly problems: readonly string[];
}

const reportForm = z.object({
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      assertionResults: z.array(
        z.object({
          ancestorTitles: z.array(z.string()),
          title: z.string(),
          status: z.string(),
          failureMessages: z.array(z.string()).optional(),
        }),
      ),
    }),
  ),
});

/** Undefined when vitest left no report that can be read. */
export async function readVitestReport(file: string, root: string): Promise<TestReport | undefined> {
  let files: z.infer<typeof reportForm>['testResults'];
  try {
    files = reportForm.parse(JSON.parse(await readFile(file, 'utf8'))).testResults;
  } catch {
    return undefined;
  }
  const tests = files.flatMap((result) =>
    result.assertionResults.map((test): TestResult => ({
      file: relative(root, result.name),
      name: [...test.ancestorTitles, test.title].join(' > '),
      status: test.status === 'passed' || test.status === 'failed' ? test.status : 'skipped',
      ...(test.status === 'failed' ? { message: firstLines(test.failureMessages?.[0] ?? '') } : {}),
    })),
  );
  const broken = files.filter(
    ({ status, assertionResults }) =>
      status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
  );
  return { tests, brokenFiles: broken.map(({ name }) => relative(root, name)) };
}

/** What may never be skipped: a test file, `file > suite` or `file > suite > test`; or one test among them that is skipped for a reason. */
export type MustRun = string | { readonly skips: string; readonly because: string };

const mustRunForm: z.ZodType<MustRun[]> = z.array(
  z.union([z.string(), z.strictObject({ skips: z.string(), because: z.string() })]),
);

export async function readMustRun(file: string): Promise<readonly MustRun[]> {
  return mustRunForm.parse(JSON.parse(await readFile(file, 'utf8')));
}

/**
 * What the run is worth. A filter says that the rest is not wanted now: then only what it selected is held against
 * the must-run list, and nothing of it when vitest's own options (`-t name`) leave out single tests.
 */
export function judge(
  report: TestReport | undefined,
  vitestStatus: number,
  mustRun: readonly MustRun[],
  filters: readonly string[],
): Verdict {
  const { tests, brokenFiles } = report ?? { tests: [], brokenFiles: [] };
  const of = (status: TestResult['status']): readonly TestResult[] =>
    tests.filter((test) => test.status === status);
  const problems = brokenFiles.map((file) => `${file} failed outside its tests`);
  if (report === undefined) problems.push('vitest left no report');
  else if (of('passed').length + of('failed').length === 0) problems.push('no test ran');
  if (!filters.some((filter) => filter.startsWith('-'))) {
    const excused = new Set(mustRun.flatMap((entry) => (typeof entry === 'string' ? [] : [entry.skips])));
    const judged = tests.filter(({ file, name }) => !excused.has(`${file} > ${name}`));
    const entries = mustRun.filter((entry) => typeof entry === 'string');
    problems.push(...entries.flatMap((entry) => missed(entry, judged, filters.length > 0)));
  }
  const failed = of('failed').length + problems.length;
  // Such as an error that no test waited for, or a worker that died.
  if (vitestStatus !== 0 && failed === 0) problems.push(`vitest ended with status ${vitestStatus}`);
  return {
    passed: of('passed').length,
    failed: of('failed').length + problems.length,
    skipped: of('skipped').map(({ file, name }) => `${file} > ${name}`),
    failures: of('failed').map(({ file, name, message }) => `${file} > ${name}: ${message}`),
    problems,
  };
}

/** What a test said, and where: without the lines of the stack that are not the project's own. */
function firstLines(message: string): string {
  const lines = stripVTControlCharacters(message).split('\n');
  const said = lines.filter((line) => !/^\s+at /.test(line)).join(' ');
  const place = lines.find((line) => /^\s+at .*\.test\.ts:/.test(line))?.match(/[^/]+\.test\.ts:\d+/)?.[0];
  return `${said.slice(0, longestReason)}${place ? ` (${place})` : ''}`;
}

function missed(entry: string, tests: readonly TestResult[], filtered: boolean): string[] {
  const file = entry.split(' > ', 1)[0];
  if (filtered && !tests.some((test) => test.file === file)) return [];
  const meant = tests.filter((test) => `${test.file} > ${test.name} > `.startsWith(`${entry} > `));
  if (meant.length === 0) return [`must run, but is not there: ${entry}`];
  const skipped = meant.filter(({ status }) => status === 'skipped').map(({ name }) => name);
  return skipped.length > 0 ? [`must run, but was skipped: ${entry} (${skipped.join('; ')})`] : [];
}
