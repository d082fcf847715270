import type { JobProgress, RunUnit } from '@pgsilo/engine';
import { describe, expect, it } from 'vitest';
import stringWidth from 'string-width';
import { RunProgress, unitText } from '../src/terminal/run-progress.ts';
import { styleFor } from '../src/terminal/style.ts';

const style = styleFor(false);
const begin = Date.parse('2026-11-21T02:00:00Z');

function job(name: string, estimatedBytes: number | undefined, units = [name]): JobProgress {
  return { id: name, units, estimatedBytes, bytes: 0, startedAt: new Date(begin) };
}

function unit(name: string, more: Partial<RunUnit> = {}): RunUnit {
  const sinks = [{ sink: 'local', status: 'stored' as const }];
  return {
    unit: name,
    status: 'good',
    attempts: 1,
    bytes: 1000,
    storedBytes: 100,
    seconds: 1,
    sinks,
    ...more,
  };
}

const planned = {
  type: 'planned',
  run: 'r',
  jobs: 12,
  units: 12,
  missing: [],
  estimatedBytes: 12e6,
  warnings: [],
} as const;

describe('progress of a run', () => {
  it('draws running jobs with size, rate and time, and the whole below', () => {
    const progress = new RunProgress(begin);
    progress.apply(planned, begin);
    const acme = job('acme', 40e6);
    const evil = job('ev\nil', undefined, ['ev\nil', 'b', 'c']);
    progress.apply({ type: 'job-started', job: acme, attempt: 1 }, begin);
    progress.apply({ type: 'job-started', job: evil, attempt: 1 }, begin);
    acme.bytes = 10e6;
    evil.bytes = 5000;
    expect(`\n${progress.draw({ columns: 100, rows: 24 }, begin + 2000, style).join('\n')}\n`).toBe(`
  ▸ acme                              ━━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌  10.0 MB of 40.0 MB   5.0 MB/s     0:02
  ▸ ev\\nil and 2 more                                        5.0 kB              2.5 kB/s     0:02
0 of 12 units · 10.0 MB · 5.0 MB/s · 0:02
`);
  });

  it('counts what is done and failed, and says how long it may take only when it can know', () => {
    const progress = new RunProgress(begin);
    progress.apply(planned, begin);
    const finish = (index: number): void => {
      const each = job(`u${index}`, 1e6);
      const status = index === 0 ? 'failed' : 'good';
      progress.apply({ type: 'job-started', job: each, attempt: 1 }, begin);
      progress.apply({ type: 'job-finished', job: each, units: [unit(each.id, { status })] }, begin + 1000);
    };
    expect(progress.draw({ columns: 99, rows: 9 }, begin + 6000, style)[0]).not.toContain('left');
    for (let index = 0; index < 6; index += 1) finish(index);
    expect(progress.draw({ columns: 99, rows: 9 }, begin + 4000, style)[0]).not.toContain('left');
    const [line] = progress.draw({ columns: 99, rows: 9 }, begin + 6000, style);
    expect(line).toMatch(/^6 of 12 units, 1 failed · 6\.0 kB · .* · 0:06 · about 6\.0 s left$/);
  });

  it('stays within the terminal, whatever its size and the number of jobs', () => {
    const progress = new RunProgress(begin);
    progress.apply(planned, begin);
    for (let index = 0; index < 50; index += 1) {
      progress.apply({ type: 'job-started', job: job('株'.repeat(40), 1e12), attempt: 1 }, begin);
    }
    for (const columns of [40, 79, 120, 300]) {
      const lines = progress.draw({ columns, rows: 12 }, begin + 1000, style);
      expect(lines).toHaveLength(9);
      expect(lines.at(-2)).toContain('and 43 more');
      expect(Math.max(...lines.map((line) => stringWidth(line)))).toBeLessThanOrEqual(columns);
    }
  });

  it('forgets an attempt that is made again', () => {
    const progress = new RunProgress(begin);
    progress.apply(planned, begin);
    const acme = job('acme', 100);
    progress.apply({ type: 'job-started', job: acme, attempt: 1 }, begin);
    const error = { code: 'source.incomplete' as const, message: 'x' };
    progress.apply({ type: 'job-retry', job: acme, attempt: 1, error, delay: 5000 }, begin);
    expect(progress.draw({ columns: 80, rows: 24 }, begin, style)).toHaveLength(1);
  });

  it('says of a finished unit what there is to say', () => {
    expect(unitText(unit('a'))).toBe('1.0 kB → 100 B in 1.0 s');
    const error = { code: 'source.failed' as const, message: 'pg_dump exited with 1' };
    expect(unitText(unit('a', { status: 'failed', attempts: 3, error }))).toBe(
      'failed after 3 attempts: pg_dump exited with 1',
    );
    const sinks = [{ sink: 's\n3', status: 'failed' as const }];
    expect(unitText(unit('a', { status: 'damaged', sinks }))).toBe(
      'damaged: 1.0 kB → 100 B in 1.0 s, not in s\\n3',
    );
  });
});
