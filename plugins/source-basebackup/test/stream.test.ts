import { describe, expect, test } from 'vitest';
import { PgsiloError } from '@pgsilo/plugin';
import type { ReplicationSession } from '@pgsilo/postgres';
import { BaseBackup } from '../src/base-backup.ts';
import { options } from '../src/options.ts';

type Script = readonly (readonly [result: number, row: Record<string, string | null>] | string | Error)[];

const start = [0, { recptr: '0/2000028', tli: '3' }] as const;
const spaces = [1, { spcoid: '16400', spclocation: '/fast', size: null }] as const;
const stop = [2, { recptr: '0/2000100', tli: '3' }] as const;
const sent = ['n16400.tar\0/fast\0', 'dabc', 'nbase.tar\0\0', 'dd', 'p12345678', 'm', 'd{}'];

/** An error as the server's becomes one of ours. */
function failure(state: string, code: 'source.failed' | 'source.unreachable'): PgsiloError {
  const cause = Object.assign(new Error('what the server says'), { severity: 'ERROR', code: state });
  return new PgsiloError(code, 'cannot copy', { cause });
}

function backupOf(script: Script, commands: string[] = [], written: object = {}): BaseBackup {
  const session: ReplicationSession = {
    async *stream(command, onRow) {
      commands.push(command);
      for (const step of script) {
        if (step instanceof Error) throw step;
        if (typeof step === 'string') yield [Buffer.from(step, 'latin1')];
        else onRow(step[0], step[1]);
      }
    },
    close: () => Promise.resolve(),
  };
  return new BaseBackup(
    session,
    `a'b`,
    options.parse({ connection: 'postgresql://x@y/z', ...written }),
    true,
  );
}

async function read(backup: BaseBackup): Promise<unknown[]> {
  const items: unknown[] = [];
  for await (const item of backup.items())
    items.push(item.type === 'data' ? Buffer.from(item.bytes).toString() : item);
  return items;
}

describe('a base backup', () => {
  test('is asked for as the options say, and comes with its places', async () => {
    const commands: string[] = [];
    const backup = backupOf([start, spaces, ...sent, stop], commands, {
      maxRate: '1MiB',
      checkpoint: 'spread',
    });
    expect(await read(backup)).toEqual([
      { type: 'archive', tablespace: '16400' }, 'abc', { type: 'archive', tablespace: undefined }, 'd', { type: 'manifest' }, '{}',
    ]); // prettier-ignore
    expect(commands).toEqual([
      `BASE_BACKUP (LABEL 'a''b', CHECKPOINT 'spread', WAL true, WAIT false, MANIFEST 'yes', MANIFEST_CHECKSUMS 'CRC32C', VERIFY_CHECKSUMS true, MAX_RATE 1024)`,
    ]);
    expect([backup.start, backup.stop, backup.tablespaces, backup.damage]).toEqual([
      { lsn: '0/2000028', timeline: 3 }, { lsn: '0/2000100', timeline: 3 }, new Map([['16400', '/fast']]), undefined,
    ]); // prettier-ignore
  });

  test('is damaged when the server says so behind the end, and only then', async () => {
    const corrupted = failure('XX001', 'source.failed');
    const backup = backupOf([start, ...sent, stop, corrupted]);
    await read(backup);
    expect(backup.damage).toBe('what the server says');
    // What is not all there is no backup, damaged or not.
    await expect(read(backupOf([start, ...sent, corrupted]))).rejects.toBe(corrupted);
  });

  test.each([
    [
      'the server ends behind the end',
      [start, ...sent, stop, failure('57P01', 'source.unreachable')],
      'source.unreachable',
    ],
    [
      'the connection breaks',
      [start, ...sent, new PgsiloError('source.unreachable', 'gone')],
      'source.unreachable',
    ],
    ['there is no stop', [start, ...sent], 'source.incomplete'],
    ['a message is of no known kind', [start, 'x'], 'source.incomplete'],
    ['an archive has no known name', [start, 'n../x\0/fast\0'], 'source.incomplete'],
  ])('is none when %s', async (_what, script, code) => {
    await expect(read(backupOf(script as Script))).rejects.toMatchObject({ code });
  });
});
