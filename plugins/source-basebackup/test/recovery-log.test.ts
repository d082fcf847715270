import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readRecoveryEnd } from '../src/recovery-end.ts';
import { notRecovered, readRecovery } from '../src/recovery-log.ts';

const stopped =
  '2026-12-01 10:01:36 UTC [7] LOG:  recovery stopping before commit of transaction 810, time 2026-12-01 10:01:35.97+00\n';

describe('the log of a server that recovered', () => {
  it('says where it stopped', () => {
    expect(readRecovery(stopped, '16384')).toBe(
      'before commit of transaction 810, time 2026-12-01 10:01:35.97+00',
    );
    expect(readRecovery('LOG:  consistent recovery state reached at 0/3000120\n', '16384')).toBeUndefined();
  });

  it.each([
    'WARNING:  page 0 of relation base/16384/2619 does not exist',
    'WARNING:  page 12 of relation base/16384/2619 is uninitialized',
    'WARNING:  page 1 of relation pg_tblspc/16400/PG_15_202209061/16384/16401_vm does not exist',
  ])('shows that a page of the wanted database was not there: %s', (line) => {
    expect(() => readRecovery(`${stopped}${line}\n`, '16384')).toThrow(
      expect.objectContaining({ code: 'restore.mismatch' }),
    );
    // Those of databases that were left out are not there, and need not be.
    expect(readRecovery(`${line}\n${stopped}`, '1638')).toMatch(/^before/);
    expect(readRecovery(`${line}\n${stopped}`, '6384')).toMatch(/^before/);
  });
});

it('says up to where the log goes that does not reach the moment', () => {
  const words = `LOG:  last completed transaction was at log time 2026-12-01 09:00:00+00
FATAL:  recovery ended before configured recovery target was reached`;
  expect(notRecovered(words, { kind: 'time', at: '2026-12-01T10:00:00Z' })).toMatchObject({
    code: 'restore.refused',
    message: expect.stringContaining('2026-12-01 09:00:00+00'),
  });
  expect(notRecovered('FATAL:  out of memory', undefined)).toMatchObject({ code: 'restore.failed' });
});

it('says where it stopped by the history of the timeline that was begun', async () => {
  const data = mkdtempSync(join(tmpdir(), 'pgsilo-end-'));
  mkdirSync(join(data, 'pg_wal'));
  const log =
    'LOG:  last completed transaction was at log time 2026-12-01 09:00:00+00\nLOG:  selected new timeline ID: 10\n';
  const history = (last: string): void =>
    writeFileSync(join(data, 'pg_wal/0000000A.history'), `1\t0/5000000\tx\n2\t0/7000000\ty\n\n${last}\n`);
  try {
    history('9\t0/8000028\tat restore point "a\t1 b"');
    expect(await readRecoveryEnd(data, log)).toEqual({
      timeline: 9,
      lsn: '0/8000028',
      why: 'at restore point "a\t1 b"',
      lastTransaction: '2026-12-01 09:00:00+00',
      goesOnAs: 10,
    });
    // PostgreSQL names the timeline that it was on its way to.
    history('9\t0/6000028\tafter transaction 810');
    expect(await readRecoveryEnd(data, log)).toMatchObject({ timeline: 2, lsn: '0/6000028' });
    expect(await readRecoveryEnd(data, 'LOG:  starting')).toBeUndefined();
  } finally {
    rmSync(data, { recursive: true });
  }
});
