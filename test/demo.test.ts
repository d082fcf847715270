import { execa } from 'execa';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { objectStoreHere } from './services/object-store.ts';
import { cleanEnvironment } from './services/pgsilo.ts';
import { processesWith } from './services/processes.ts';
import { until } from './services/server.ts';

const root = join(import.meta.dirname, '..');
/** Where servers have their folders. */
const servers = process.getuid?.() === 0 ? '/tmp' : tmpdir();

describe('the demo', () => {
  let folder: string;
  beforeAll(() => {
    folder = join(mkdtempSync(join(tmpdir(), 'pgsilo-demo-test-')), 'demo');
  });
  afterAll(() => rmSync(join(folder, '..'), { recursive: true, force: true }));

  interface Demo {
    readonly pid: number;
    readonly result: Promise<{ exit: number | undefined; output: string }>;
    said(): string;
    kill(signal: NodeJS.Signals): void;
  }

  const start = (...more: string[]): Demo => {
    const child = execa(
      'node',
      ['examples/demo/demo.ts', '--folder', folder, '--scale', '0.01', '--no-bucket', ...more],
      {
        cwd: root,
        env: cleanEnvironment(),
        extendEnv: false,
        reject: false,
        all: true,
        stdin: 'ignore',
        timeout: 150_000,
      },
    );
    let said = '';
    child.all.on('data', (chunk: Buffer) => (said += chunk.toString()));
    return {
      pid: child.pid!,
      result: child.then(({ exitCode, all }) => ({ exit: exitCode, output: all })),
      said: () => said,
      kill: (signal) => child.kill(signal),
    };
  };

  /** Waits until the demo has said `words`; throws with all that it said when it ends before. */
  const heard = async (demo: Demo, words: string): Promise<void> => {
    let ended = false;
    void demo.result.then(() => (ended = true));
    await until(`the demo says ${words}`, () => ended || demo.said().includes(words), 90);
    if (!demo.said().includes(words))
      throw new Error(`the demo ended before it said ${words}:\n${demo.said()}`);
  };

  /** The lines of "Try next", the first of which sets PATH and the folder. */
  const commandsOf = (output: string): string[] => {
    const lines = output.slice(output.indexOf('Try next')).split('\n').slice(1);
    return lines.filter((line) => line.startsWith('  ')).map((line) => line.trim());
  };

  const expectThatCommandsWork = async (output: string): Promise<void> => {
    const [prelude, ...commands] = commandsOf(output);
    expect(prelude).toMatch(/^export PATH=/);
    expect(commands).toHaveLength(5);
    for (const command of commands) {
      const { exitCode, all } = await execa('sh', ['-e', '-c', `${prelude}\n${command}`], {
        all: true,
        reject: false,
      });
      expect({ command, all, exitCode }).toEqual({ command, all: expect.stringMatching(/\S/), exitCode: 0 });
    }
  };

  /** Nothing of a demo remains: no process, no server, no folder of a server. */
  const expectNothingRunning = async (demo: Demo): Promise<void> => {
    await until(
      'nothing of the demo runs',
      async () => {
        const left = readdirSync(servers).filter(
          (name) => name.startsWith('pgsilo-pg-') && ownerOf(name) === demo.pid,
        );
        return (await processesWith(folder)).length === 0 && left.length === 0;
      },
      10,
    );
    expect(existsSync(join(folder, 'running.pid')) && isAlive(demo.pid)).toBe(false);
  };

  it('backs up, loses, restores and compares; copies to a bucket where there is an S3 server; its five commands work; nothing runs afterwards', async () => {
    const installed = await objectStoreHere();
    const demo = start('--bucket');
    const { exit, output } = await demo.result;
    expect(output.includes('vigia_granja_from_bucket')).toBe('root' in installed);
    expect(output).toContain('vigia_boreal is what it was');
    expect(output).toContain('vigia_granja is what it was');
    expect(exit).toBe(0);
    await expectNothingRunning(demo);
    expect(statSync(join(folder, 'connection')).mode & 0o777).toBe(0o600);
    expect(readFileSync(join(folder, 'vigia.yaml'), 'utf8')).toContain('use: database-per-tenant');
    await expectThatCommandsWork(output);
  }, 120_000);

  it('stays with --keep until Ctrl-C, with five commands for the server', async () => {
    const demo = start('--keep');
    try {
      await heard(demo, 'until you press Ctrl-C');
      const second = start();
      expect(await second.result).toMatchObject({
        exit: 1,
        output: expect.stringContaining('another demo uses'),
      });
      await expectThatCommandsWork(demo.said());
    } finally {
      demo.kill('SIGINT');
    }
    expect((await demo.result).exit).toBe(0);
    await expectNothingRunning(demo);
  }, 150_000);

  it.each([
    ['the set-up', 'A throwaway PostgreSQL server', 130],
    ['a backup', '$ pgsilo backup', 130],
    ['a restore', '$ pgsilo restore', 130],
  ])(
    'leaves nothing running when it is interrupted during %s',
    async (_, words, status) => {
      const demo = start();
      await heard(demo, words);
      demo.kill('SIGINT');
      const { exit, output } = await demo.result;
      expect({ output, exit }).toEqual({ output, exit: status });
      await expectNothingRunning(demo);
    },
    90_000,
  );

  it('leaves nothing running when it is killed', async () => {
    const demo = start();
    await heard(demo, '$ pgsilo backup');
    demo.kill('SIGKILL');
    expect((await demo.result).exit).toBeUndefined();
    await expectNothingRunning(demo);
  }, 90_000);
});

function ownerOf(server: string): number | undefined {
  try {
    return Number(readFileSync(join(servers, server, 'owner'), 'utf8').split(' ')[0]);
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
