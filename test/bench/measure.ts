import { spawn, type StdioOptions } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** One run of a command. */
export interface Measured {
  /** Wall clock. */
  readonly seconds: number;
  /** Of the process itself, children not counted; 0 where the system does not tell. */
  readonly peakBytes: number;
}

const pollEvery = 50;

/** Runs a command to its end and measures it. Throws with what it said unless it exits with 0. */
export async function measure(
  file: string,
  args: readonly string[],
  options: { readonly env: NodeJS.ProcessEnv; readonly cwd: string },
): Promise<Measured> {
  const began = performance.now();
  const stdio: StdioOptions = ['ignore', 'ignore', 'pipe'];
  const child = spawn(file, args, { ...options, stdio });
  let said = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4000)));
  let ended = false;
  const end = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code));
  }).finally(() => (ended = true));
  let peakBytes = 0;
  const watching = (async () => {
    while (!ended) {
      peakBytes = Math.max(peakBytes, await peakOf(child.pid));
      await sleep(pollEvery);
    }
  })();
  const code = await end;
  const seconds = (performance.now() - began) / 1000;
  await watching;
  if (code !== 0) throw new Error(`${file} ${args.join(' ')} ended with ${code}:\n${said}`);
  return { seconds, peakBytes };
}

/** The most memory that a process held so far (VmHWM of proc(5)). */
async function peakOf(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/^VmHWM:\s+(\d+) kB$/mu.exec(status)?.[1] ?? 0) * 1024;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
