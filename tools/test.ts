// What `npm test` runs: every check of the repository, then every test, for real and never from a cache.
//   node tools/test.ts [vitest filter...]
import { execa } from 'execa';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { judge, readMustRun, readVitestReport, type Verdict } from './test-report.ts';

interface Step {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
}

const root = join(import.meta.dirname, '..');
const filters = process.argv.slice(2);
const checks: readonly Step[] = [
  { name: 'formatting', command: ['oxfmt', '--check'] },
  { name: 'lint', command: ['oxlint', '--deny-warnings'] },
  { name: 'types', command: ['tsc', '-p', '.'] },
  { name: 'boundaries', command: ['node', 'tools/check-boundaries.ts'] },
  { name: 'generated files', command: ['node', 'tools/generate.ts', '--check'] },
];

let child: { kill(signal: NodeJS.Signals): boolean } | undefined;
let interrupted: NodeJS.Signals | undefined;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    interrupted = signal;
    // A terminal has sent its Ctrl-C to the child already.
    if (signal !== 'SIGINT' || !process.stdin.isTTY) child?.kill(signal);
  });
}

const lines: string[] = [];
let passed = 0;
let failed = 0;

for (const step of checks) {
  const { status, seconds } = await run(step);
  if (status === 0) passed += 1;
  else failed += 1;
  lines.push(row(status === 0, step.name, seconds));
}

const { verdict, seconds } = await runTests();
passed += verdict.passed;
failed += verdict.failed;
const counts = `${verdict.passed} passed, ${verdict.failed} failed, ${verdict.skipped.length} skipped`;
lines.push(row(verdict.failed === 0, 'tests', seconds, counts));
for (const name of verdict.skipped) lines.push(`  skipped  ${name}`);
for (const failure of verdict.failures) lines.push(`  FAILED   ${failure}`);
for (const problem of verdict.problems) lines.push(`  FAILED   ${problem}`);

process.stdout.write(`\n${lines.join('\n')}\n\n${passed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;

async function run({
  name,
  command: [file, ...parameters],
}: Step): Promise<{ status: number; seconds: number }> {
  process.stdout.write(`\n== ${name}\n`);
  const start = performance.now();
  const running = execa(file, parameters, {
    cwd: root,
    stdio: 'inherit',
    reject: false,
    preferLocal: true,
    localDir: root,
  });
  child = running;
  const result = await running;
  if (interrupted) {
    process.stdout.write(`Interrupted by ${interrupted}.\n`);
    process.exit(interrupted === 'SIGINT' ? 130 : 143);
  }
  if (result.exitCode === undefined)
    process.stdout.write(`${result.shortMessage ?? 'It could not be run'}\n`);
  return { status: result.exitCode ?? 1, seconds: (performance.now() - start) / 1000 };
}

async function runTests(): Promise<{ verdict: Verdict; seconds: number }> {
  // Not in the tree: it may belong to another user.
  const folder = await mkdtemp(join(tmpdir(), 'pgsilo-test-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const report = join(folder, 'vitest.json');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const { status, seconds } = await run({
    name: 'tests',
    command: ['vitest', 'run', ...reporters, ...filters],
  });
  const mustRun = await readMustRun(join(root, 'test', 'must-run.json'));
  return { verdict: judge(await readVitestReport(report, root), status, mustRun, filters), seconds };
}

function row(good: boolean, name: string, time: number, more = ''): string {
  return `${good ? 'ok    ' : 'FAILED'} ${name.padEnd(16)} ${time.toFixed(1).padStart(7)} s  ${more}`.trimEnd();
}
