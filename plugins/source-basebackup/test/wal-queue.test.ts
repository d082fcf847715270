import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { WalQueue } from '@pgsilo/plugin';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { noteTest, openQueue } from '../src/wal-queue.ts';

const system = '7312345678901234567';
const place = '0123456789abcdef';
const segment = (number: number): string => `00000001${number.toString(16).toUpperCase().padStart(16, '0')}`;
const nothing: ReadonlySet<string> = new Set();

let data: string;
let pipeline: string;
beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), 'pgsilo-queue-'));
  mkdirSync(join(data, 'pg_wal/archive_status'), { recursive: true });
  mkdirSync(join(data, 'global'));
  const control = Buffer.alloc(8192);
  control.writeBigUInt64LE(BigInt(system));
  writeFileSync(join(data, 'global/pg_control'), control);
  writeFileSync(join(data, 'postmaster.pid'), '1');
  pipeline = join(data, 'files.yaml');
  writeFileSync(pipeline, 'pipeline: files');
  for (const path of [pipeline, join(data, 'postmaster.pid')]) age(path, 100);
});
afterEach(() => rmSync(data, { recursive: true, force: true }));

function age(path: string, seconds: number): void {
  const time = Date.now() / 1000 - seconds;
  utimesSync(path, time, time);
}
const at = (name: string): string => join(data, 'pg_wal', name);
const noteOf = (name: string): string => at(`pgsilo/${system}-${place}/${name}`);
function ready(...names: readonly string[]): void {
  for (const name of names) {
    writeFileSync(at(name), `content of ${name}`);
    age(at(name), 50);
    writeFileSync(at(`archive_status/${name}.ready`), '');
  }
}
const sha = (text: string): string => createHash('sha256').update(text).digest('hex');
const queueOf = async (name: string): Promise<WalQueue> => (await openQueue(at(name), place))!;
const nextOf = async (queue: WalQueue, most = 10, except = nothing): Promise<string[]> =>
  (await queue.next(most, except)).map((path) => path.slice(path.lastIndexOf('/') + 1));

describe('files that wait', () => {
  it('are those that the server has ready, histories first, then the oldest', async () => {
    ready(
      segment(9),
      segment(3),
      segment(300),
      '00000002.history',
      segment(1),
      `${segment(2)}.00000028.backup`,
    );
    writeFileSync(at(`archive_status/${segment(4)}.done`), '');
    writeFileSync(at('archive_status/core.ready'), '');
    const queue = await queueOf(segment(1));
    const all = ['00000002.history', `${segment(2)}.00000028.backup`, segment(3), segment(9), segment(300)];
    expect(await nextOf(queue)).toEqual(all);
    expect(await nextOf(queue, 2)).toEqual(all.slice(0, 2));
    expect(await nextOf(queue, 2, new Set([at(all[0]!)]))).toEqual(all.slice(1, 3));
  });

  it('are nobody’s where there is no server', async () => {
    writeFileSync(join(data, segment(1)), '');
    expect(await openQueue(join(data, segment(1)), place)).toBeUndefined();
    rmSync(join(data, 'global/pg_control'));
    expect(await openQueue(at(segment(1)), place)).toBeUndefined();
  });

  it.skipIf(process.getuid?.() !== 0)('are not looked for in the folder of another user', async () => {
    ready(segment(1));
    execFileSync('chown', ['-R', '65534', at('archive_status')]);
    expect(await openQueue(at(segment(1)), place)).toBeUndefined();
  });

  it('are no more those that were noted, until the note is older than the server', async () => {
    ready(segment(1), segment(2), segment(3));
    const queue = await queueOf(segment(1));
    await queue.note(segment(2), sha('x'));
    expect(await nextOf(queue)).toEqual([segment(3)]);
    age(noteOf(segment(2)), 101);
    expect(await nextOf(queue)).toEqual([segment(2), segment(3)]);
    expect(readdirSync(at(`pgsilo/${system}-${place}`))).toEqual([]);
    // Handed out meanwhile; and what a killed call was writing.
    await queue.note(segment(3), sha('x'));
    for (const [name, seconds] of [
      ['.old', 700],
      ['.new', 0],
    ] as const) {
      writeFileSync(noteOf(name), '');
      age(noteOf(name), seconds);
    }
    rmSync(at(`archive_status/${segment(3)}.ready`));
    await nextOf(queue);
    expect(readdirSync(at(`pgsilo/${system}-${place}`))).toEqual(['.new']);
  });
});

describe('the test of a note in sh', () => {
  const name = segment(2);
  /** As PostgreSQL runs it: in the data directory, %f and %p filled in. */
  function holds(more: { system?: string; place?: string; path?: string } = {}): boolean {
    const line = noteTest(more.system ?? system, more.place ?? place, `'${pipeline}'`)
      .replaceAll('%f', name)
      .replaceAll('%p', `pg_wal/${name}`);
    const words = [`${line} || exit 7; exit 5`];
    try {
      execFileSync('/bin/sh', ['-c', ...words], {
        cwd: data,
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { PATH: more.path ?? process.env['PATH'] ?? '' },
      });
    } catch (error) {
      const { status } = error as { status: number };
      if (status === 5 || status === 7) return status === 5;
      throw error;
    }
    throw new Error('it ended with 0');
  }
  beforeEach(async () => {
    ready(segment(1), name);
    await (await queueOf(segment(1))).note(name, sha(`content of ${name}`));
  });

  it('holds for the very bytes that were noted', () => {
    expect(holds()).toBe(true);
    rmSync(noteOf(name));
    expect(holds()).toBe(false);
  });

  it('does not hold for other bytes, whatever the times say', () => {
    writeFileSync(at(name), `content of ${segment(3)}`);
    age(at(name), 50);
    expect(holds()).toBe(false);
    rmSync(at(name));
    expect(holds()).toBe(false);
  });

  it('does not hold where anything is newer than the note', () => {
    for (const path of [at(name), join(data, 'postmaster.pid'), pipeline]) {
      age(path, 5);
      expect(holds()).toBe(true);
      age(path, -5);
      expect(holds()).toBe(false);
      age(path, 50);
    }
    expect(holds()).toBe(true);
  });

  it('does not hold for another cluster or pipeline, for a note that is cut, and where there is no sha256sum', () => {
    expect(holds({ system: '7312345678901234568' })).toBe(false);
    expect(holds({ place: 'fedcba9876543210' })).toBe(false);
    expect(holds({ path: '/nonexistent' })).toBe(false);
    const whole = readFileSync(noteOf(name), 'utf8');
    for (const text of ['', whole.slice(0, 40), ` ${whole}`]) {
      writeFileSync(noteOf(name), text);
      expect(holds()).toBe(false);
    }
    writeFileSync(noteOf(name), whole);
    expect(holds()).toBe(true);
  });
});
