import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, onTestFinished } from 'vitest';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const fixture = (name: string): string => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));

// Of this file's own: run locks lie there by the pipeline's name, and other files use the same names.
const temporary = mkdtempSync(join(tmpdir(), 'pgsilo-cli-'));
afterAll(() => rmSync(temporary, { recursive: true, force: true }));

export interface Ended {
  readonly exit: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Signals to send, each when standard error holds the text. */
  readonly signals?: readonly { readonly after: string; readonly name: NodeJS.Signals }[];
}

/** Runs the real command as a child process. */
export async function pgsilo(parameters: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const child = spawn(process.execPath, [main, ...parameters], {
    cwd: options.cwd,
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], TMPDIR: temporary, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  const signals = [...(options.signals ?? [])];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    while (signals[0] && stderr.includes(signals[0].after)) child.kill(signals.shift()!.name);
  });
  const exit = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  return { exit, stdout, stderr };
}

export interface FakeUnit {
  readonly name: string;
  readonly bytes?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly milliseconds?: number;
  readonly deaf?: boolean;
  readonly status?: 'good' | 'damaged' | 'failed' | 'missing';
}

export interface FakePipeline {
  readonly name?: string;
  readonly units?: readonly FakeUnit[];
  readonly source?: Readonly<Record<string, unknown>>;
  readonly brokenSink?: 'required' | 'optional';
  readonly more?: Readonly<Record<string, unknown>>;
}

/** A folder of its own with a pipeline file over the fake source and a local sink; removed after the test. */
export async function project(
  pipeline: FakePipeline = {},
): Promise<{ readonly folder: string; readonly file: string }> {
  const folder = await mkdtemp(join(temporary, 'project-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return { folder, file: await pipelineFile(folder, pipeline) };
}

/** Writes a pipeline file into the folder; JSON is YAML. */
export async function pipelineFile(folder: string, pipeline: FakePipeline): Promise<string> {
  const { name = 'vigia', units = [{ name: 'acme' }, { name: 'globex' }], brokenSink } = pipeline;
  const broken = { use: fixture('broken-sink.ts'), name: 'vault', required: brokenSink === 'required' };
  const file = join(folder, `${name}.yaml`);
  await writeFile(
    file,
    JSON.stringify({
      pipeline: name,
      source: { use: fixture('fake-source.ts'), units, ...pipeline.source },
      transforms: [{ use: 'gzip' }],
      sinks: [{ use: 'local', path: 'store', fsync: false }, ...(brokenSink ? [broken] : [])],
      limits: { attempts: 1 },
      ...pipeline.more,
    }),
  );
  return file;
}

/** The one document on standard output. Throws when there is something else. */
// oxlint-disable-next-line typescript/no-explicit-any
export function documentOf({ stdout }: Ended): any {
  return JSON.parse(stdout);
}
