import { describe, expect, it } from 'vitest';
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
