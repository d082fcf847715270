import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RecoveryTarget } from '@pgsilo/plugin';
import { testContext } from '@pgsilo/testkit';
import { folderForServer, startPostgres, type ThrowawayPostgres } from '@pgsilo/testkit/postgres';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { signsIn } from '../src/follow-recovery.ts';
import { feedCommand } from '../src/log-feed.ts';
import { startRestored } from '../src/start-restored.ts';
import { backUp, removeBackups, restore, type TestBackup } from './cluster.ts';

const segmentBytes = 16 * 2 ** 20;

describe('a restored server that is started', { timeout: 120_000 }, () => {
  let server: ThrowawayPostgres;
  let backup: TestBackup;
  const folder = folderForServer();
  let restored = 0;

  beforeAll(async () => {
    server = await startPostgres();
    backup = await backUp(server);
  }, 60_000);
  afterAll(async () => {
    await removeBackups();
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Files that would recover with what `fetch` brings. */
  const made = async (fetch: RecoveryTarget['fetch']) => {
    const recovery: RecoveryTarget = {
      point: { kind: 'lsn', lsn: 'FF/0' },
      timeline: 'latest',
      fetchCommand: 'false',
      archive: { list: async () => [], read: async () => undefined },
      fetch,
    };
    const data = join(folder, `restored-${(restored += 1)}`);
    await restore(server, backup, { to: data, recovery: { ...recovery, point: { kind: 'latest' } } });
    const { uid, gid } = statSync(data);
    const owner = process.getuid?.() === 0 ? { uid, gid } : undefined;
    return { data, given: { bin: server.bin, data, owner, recovery, segmentBytes } };
  };
  const processOf = (data: string): string | undefined => {
    try {
      return readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')[0];
    } catch {
      return undefined;
    }
  };

  it('is ended when nothing moves any more, also where log never comes', async () => {
    const { data, given } = await made(() => new Promise(() => undefined));
    const context = testContext();
    const began = Date.now();
    await expect(startRestored(given, context, 2000)).rejects.toMatchObject({
      code: 'restore.failed',
      message: expect.stringMatching(/made no progress for 1 min and was ended; its restored files are in/),
    });
    expect(Date.now() - began).toBeLessThan(60_000);
    expect([processOf(data), existsSync(join(data, 'pgsilo-log'))]).toEqual([undefined, false]);
    await context.dispose();
  });

  it('is ended when nobody wants it any more', async () => {
    const { data, given } = await made(() => new Promise(() => undefined));
    const context = testContext();
    const stop = new AbortController();
    const starting = startRestored(given, { ...context, signal: stop.signal });
    setTimeout(() => stop.abort(new Error('enough')), 1500);
    await expect(starting).rejects.toThrow(/enough|interrupted|abort/i);
    expect(processOf(data)).toBeUndefined();
    await context.dispose();
  });

  it('is not taken for recovered where a file did not come', async () => {
    const { data, given } = await made(() => Promise.reject(new Error('the sink is on fire')));
    const context = testContext();
    await expect(startRestored(given, context)).rejects.toMatchObject({
      code: 'restore.failed',
      message: expect.stringContaining('the sink is on fire'),
    });
    expect(processOf(data)).toBeUndefined();
    await context.dispose();
  });
});

describe('the command that waits for log', () => {
  it('gives up when nobody answers any more, as where pgsilo was killed', async () => {
    const data = mkdtempSync(join(tmpdir(), 'pgsilo-feed-'));
    for (const name of ['want', 'have']) mkdirSync(join(data, 'feed', name), { recursive: true });
    writeFileSync(join(data, 'feed/have/alive'), '');
    const command = feedCommand('feed', 20)
      .replaceAll('%f', '000000010000000000000003')
      .replaceAll('%p', 'x');
    try {
      const code = await new Promise((resolve) =>
        execFile('/bin/sh', ['-c', command], { cwd: data, timeout: 30_000 }, (error) => resolve(error?.code)),
      );
      expect([code, existsSync(join(data, 'feed/have/alive'))]).toEqual([126, false]);
    } finally {
      rmSync(data, { recursive: true });
    }
  });
});

it('shows progress by what its log says, and not by time that goes by', () => {
  const line = (seconds: number, lsn: string): string =>
    `2026-12-01 10:00:${seconds} UTC [7] LOG:  redo in progress, elapsed time: ${seconds}.00 s, current LSN: ${lsn}\n`;
  const first = line(10, '0/3000060');
  expect(signsIn(first + line(20, '0/3000060'))).toBe(signsIn(first));
  expect(signsIn(first + line(20, '0/4000060'))).not.toBe(signsIn(first));
});
