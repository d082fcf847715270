import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Body } from '@pgsilo/plugin';
import { produce, runTool, type Program } from '../src/index.ts';

const sh: Program = { command: '/bin/sh', prefix: [], quoting: 'none' };
const doing = { doing: 'the child' };
const run = async (text: string): Promise<string> => (await runTool(sh, ['-c', text], doing)).stdout.trim();
const produced = (text: string): ReturnType<typeof produce> => produce(sh, ['-c', text], doing);

/** A program whose parent is gone stays a zombie until the machine's first process looks. */
const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return !existsSync('/proc/self') || !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
};

/** The number of the starter, once there is one. */
async function starterOf(): Promise<number> {
  for (;;) {
    const parent = Number(await run('echo $PPID'));
    if (parent !== process.pid) return parent;
  }
}

/** A program that the starter started; one that pgsilo started itself, while it waits for the next starter, is not it. */
async function sleeperOfStarter(): Promise<{
  starter: number;
  body: ReturnType<typeof produce>;
  pid: number;
}> {
  for (;;) {
    const body = produced('echo $$ $PPID; exec sleep 300');
    const line = Buffer.from((await body.next()).value as Uint8Array).toString();
    const [pid = 0, starter = 0] = line.split(' ').map(Number);
    if (starter !== process.pid) return { starter, body, pid };
    await body.return();
  }
}

async function sizeOf(body: Body): Promise<number> {
  let size = 0;
  for await (const chunk of body) size += chunk.length;
  return size;
}

describe('programs that a small process starts', () => {
  it('are its children from the fourth on, and it ends when there is nothing more to do', async () => {
    const starter = await starterOf();
    expect(alive(starter)).toBe(true);
    await expect.poll(() => alive(starter), { timeout: 5000 }).toBe(false);
    expect(await run('echo $PPID')).toBe(String(process.pid));
  });

  it('give all that they print, and their status, many at once and one after another', async () => {
    await starterOf();
    const sizes = Array.from({ length: 50 }, (_, index) => index * 4001);
    expect(await Promise.all(sizes.map((size) => sizeOf(produced(`head -c ${size} /dev/zero`))))).toEqual(
      sizes,
    );
    for (let index = 0; index < 40; index += 1)
      await expect(run(`echo no >&2; exit ${index + 1}`)).rejects.toThrow(
        `exited with status ${index + 1}: no`,
      );
  });

  it('are started by one at a time, also one after another: a starter that is spent ends', async () => {
    const starters = new Set<number>();
    for (let index = 0; index < 120; index += 1) {
      const parent = Number(await run('echo $PPID'));
      if (parent !== process.pid) starters.add(parent);
    }
    expect(starters.size).toBeGreaterThan(1);
    await expect
      .poll(() => [...starters].filter(alive).length, { interval: 20, timeout: 400 })
      .toBeLessThanOrEqual(1);
  });

  it('end of signals, do not start, or ignore that they should end: each is told', async () => {
    await starterOf();
    await expect(sizeOf(produced('printf hello; kill -KILL $$'))).rejects.toThrow(/was ended by SIGKILL/);
    const missing: Program = { command: '/nowhere/pg_dump', prefix: [], quoting: 'none' };
    await expect(runTool(missing, [], doing)).rejects.toMatchObject({ code: 'source.tool-missing' });
    const body = produced('trap "" TERM; echo $$; while :; do sleep 0.1; done');
    const pid = Number(Buffer.from((await body.next()).value as Uint8Array).toString());
    await body.return();
    expect(alive(pid)).toBe(false);
  });

  it('are ended when it is, and told as lost; pgsilo then starts them itself', async () => {
    const { starter, body, pid } = await sleeperOfStarter();
    process.kill(starter, 'SIGKILL');
    await expect(body.next()).rejects.toMatchObject({
      code: 'source.incomplete',
      message: expect.stringContaining('the process that started it'),
    });
    await expect.poll(() => alive(pid)).toBe(false);
    for (let index = 0; index < 5; index += 1) expect(await run('echo $PPID')).toBe(String(process.pid));
  });

  it('do not outlive pgsilo, killed by SIGKILL', async () => {
    const script = join(import.meta.dirname, 'fixtures/starts-sleepers.ts');
    const killed = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(killed.stdout, 'data')) as [Buffer];
    const { starter, pids } = JSON.parse(line.toString()) as { starter: number; pids: number[] };
    expect(pids.every(alive)).toBe(true);
    killed.kill('SIGKILL');
    await expect.poll(() => [starter, ...pids].filter(alive), { timeout: 5000 }).toEqual([]);
  });
});
