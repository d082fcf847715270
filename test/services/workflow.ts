import { execa } from 'execa';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { cleanEnvironment } from './pgsilo.ts';

interface WorkflowStep {
  readonly name?: string;
  readonly uses?: string;
  readonly run?: string;
}

/** How a step of a workflow ended. */
export interface StepResult {
  readonly name: string;
  readonly exit: number | undefined;
  readonly output: string;
}

/**
 * Runs the `run:` steps of a workflow's only job as a runner of GitHub Actions does: each by `bash -e`, with the job's environment, until one fails.
 * Programs named in `stubs` do nothing and succeed; `uses:` steps are left out. `secrets` and `github` fill in `${{ … }}`.
 */
export async function runWorkflow(
  file: string,
  options: {
    readonly cwd: string;
    readonly stubs: readonly string[];
    readonly values: Readonly<Record<string, string>>;
    readonly env: Readonly<Record<string, string>>;
  },
): Promise<StepResult[]> {
  const { jobs } = parse(readFileSync(file, 'utf8')) as {
    jobs: Record<string, { env: Record<string, string>; steps: WorkflowStep[] }>;
  };
  const [job] = Object.values(jobs);
  if (!job || Object.keys(jobs).length !== 1) throw new Error(`${file} does not have exactly one job`);
  const stubs = join(options.cwd, 'stubs');
  mkdirSync(stubs, { recursive: true });
  for (const name of options.stubs) {
    writeFileSync(join(stubs, name), '#!/bin/sh\nexit 0\n');
    chmodSync(join(stubs, name), 0o755);
  }
  const fill = (text: string): string =>
    text.replaceAll(/\$\{\{ *([\w.]+) *\}\}/g, (_, name: string) => {
      const value = options.values[name];
      if (value === undefined) throw new Error(`${file} uses ${name}, which the test does not know`);
      return value;
    });
  const own = cleanEnvironment();
  const env = {
    ...own,
    ...Object.fromEntries(Object.entries(job.env).map(([name, value]) => [name, fill(value)])),
    ...options.env,
    PATH: `${stubs}:${own['PATH']}`,
  };
  const results: StepResult[] = [];
  for (const { name, run } of job.steps) {
    if (run === undefined) continue;
    const { exitCode, all } = await execa('bash', ['--noprofile', '--norc', '-e', '-c', fill(run)], {
      cwd: options.cwd,
      env,
      extendEnv: false,
      reject: false,
      all: true,
      stdin: 'ignore',
    });
    results.push({ name: name ?? run, exit: exitCode, output: all });
    if (exitCode !== 0) break;
  }
  return results;
}
