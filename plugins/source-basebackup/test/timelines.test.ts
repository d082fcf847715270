import type { LogArchive, RecoveryGoal, RecoveryPoint, TimelineChoice } from '@pgsilo/plugin';
import { describe, expect, it } from 'vitest';
import { planLog } from '../src/log-plan.ts';
import { targetSettings } from '../src/target-settings.ts';
import { chosenTimeline, lineageOf, obstacleTo } from '../src/timelines.ts';

const segmentBytes = 16 * 2 ** 20;

/** Timeline 2 came from 1 at 0/5000100; 3 from 1, before that; 4 from 2. */
const histories: Record<string, string> = {
  '00000002.history': '1\t0/5000100\tno recovery target specified\n',
  '00000003.history': '# a remark\n\n1\t0/4000000\tbefore transaction 810\n',
  '00000004.history':
    '1\t0/5000100\tno recovery target specified\n2\t0/7000000\tat restore point "1\t0/1 x"\n',
};
const segments = [
  ...['03', '04', '05', '06'].map((end) => `0000000100000000000000${end}`),
  ...['05', '06'].map((end) => `0000000200000000000000${end}`),
  '000000030000000000000004',
  '000000010000000000000003.00000028.backup',
];
const archive: LogArchive = {
  read: async (name) => (histories[name] === undefined ? undefined : Buffer.from(histories[name])),
  list: async (timeline) =>
    segments.filter((name) => name.startsWith(timeline)).map((name) => ({ name, bytes: 1000 })),
};
const lacking = (name: string): LogArchive => ({
  ...archive,
  list: async (timeline) => (await archive.list(timeline)).filter((file) => file.name !== name),
});
const latest: RecoveryPoint = { kind: 'latest' };

describe('timelines of an archive', () => {
  it('are gone through as their histories say', async () => {
    expect(await lineageOf(1, archive)).toEqual([{ timeline: 1, begin: 0n, end: undefined }]);
    expect(await lineageOf(4, archive)).toEqual([
      { timeline: 1, begin: 0n, end: 0x5000100n },
      { timeline: 2, begin: 0x5000100n, end: 0x7000000n },
      { timeline: 4, begin: 0x7000000n, end: undefined },
    ]);
    expect(await lineageOf(9, archive)).toBeUndefined();
    expect(await chosenTimeline('latest', 1, archive)).toBe(4);
    expect(await chosenTimeline('current', 1, archive)).toBe(1);
  });

  const backup = (timeline: number, stopLsn: string) => ({
    snapshotAt: '2026-11-20T12:00:00.000Z',
    about: { timeline, stopLsn },
  });
  it.each<[number, string, RecoveryPoint, TimelineChoice, RegExp | undefined]>([
    [1, '0/4000100', latest, 2, undefined],
    [1, '0/5000100', latest, 2, undefined],
    [1, '0/5000101', latest, 2, /ends at 0\/5000101 on timeline 1, behind 0\/5000100/],
    [1, '0/5000101', latest, 'current', undefined],
    [1, '0/5000101', latest, 1, undefined],
    [1, '0/4000001', latest, 3, /behind 0\/4000000, where it was left for the way to timeline 3/],
    [3, '0/4000100', latest, 'latest', /is of timeline 3, from which timeline 4 does not come/],
    [2, '0/6000000', latest, 1, /is of timeline 2, from which timeline 1 does not come/],
    [1, '0/5000101', { kind: 'immediate' }, 'latest', undefined],
    [1, '0/4000100', { kind: 'lsn', lsn: '0/40000FF' }, 1, /ends at 0\/4000100, behind position/],
    [1, '0/4000100', { kind: 'lsn', lsn: '0/4000100' }, 1, undefined],
    [1, '0/4000100', { kind: 'time', at: '2026-11-20T11:59:59.000Z' }, 1, /, after 2026-11-20T11:59:59/],
    [1, '0/4000100', { kind: 'time', at: '2026-11-20T12:00:00.000Z' }, 1, undefined],
  ])(
    'from a backup of timeline %i that ends at %s to %j along %s',
    async (own, stop, point, timeline, why) => {
      const found = await obstacleTo(backup(own, stop), { point, timeline }, archive);
      expect(found ?? 'none').toMatch(why ?? /^none$/);
    },
  );

  it('are unknown where nobody archived a history', async () => {
    await expect(
      obstacleTo(backup(1, '0/4000100'), { point: latest, timeline: 9 }, archive),
    ).rejects.toMatchObject({ code: 'restore.refused', message: expect.stringContaining('timeline 9') });
    // What its manifest does not tell is left to the server.
    const silent = { snapshotAt: '2026-11-20T12:00:00.000Z', about: {} };
    expect(await obstacleTo(silent, { point: latest, timeline: 9 }, archive)).toBeUndefined();
  });
});

describe('the log that a recovery reads', () => {
  const wal = { timeline: 1, start: '0/3000028', stop: '0/3000138', segmentBytes };
  const plan = (goal: RecoveryGoal, from = archive) =>
    planLog(wal, { ...goal, archive: from, fetchCommand: '', fetch: async () => false });
  it.each<[RecoveryPoint, TimelineChoice, number, RegExp]>([
    [latest, 1, 3, /: 3 segments from the sinks, 0{7}1\d{14}04 to 0{7}1\d{14}06: 51 MB, 1 MB as stored/],
    [latest, 2, 3, /on timeline 2: 3 segments from the sinks, 0{7}1\d{14}04 to 0{7}2\d{14}06/],
    [latest, 3, 1, /on timeline 3: 1 segment from the sinks, 0{7}3\d{14}04 to/],
    [{ kind: 'xid', xid: '810' }, 1, 3, /: at most 3 segments/],
    [{ kind: 'lsn', lsn: '0/4FFFFFF' }, 1, 1, /up to position 0\/4FFFFFF, on timeline 1: 1 segment from/],
    [{ kind: 'lsn', lsn: '0/5000000' }, 1, 2, /: 2 segments/],
    [{ kind: 'lsn', lsn: '0/3000140' }, 1, 0, /what is in the backup/],
  ])('to %j along timeline %s', async (point, timeline, segmentsRead, text) => {
    const { bytes, lines } = await plan({ point, timeline });
    expect(bytes).toBe(segmentsRead * segmentBytes);
    expect(lines.join('\n')).toMatch(text);
  });

  it('is refused with a gap before the goal, or told of where the goal may lie before it', async () => {
    const gap = lacking('000000010000000000000005');
    const lsn = (text: string): RecoveryGoal => ({ point: { kind: 'lsn', lsn: text }, timeline: 1 });
    for (const goal of [{ point: latest, timeline: 1 }, lsn('0/6000000'), lsn('0/5000000')])
      await expect(plan(goal, gap)).rejects.toMatchObject({
        code: 'restore.refused',
        message: expect.stringContaining('000000010000000000000005 is missing'),
      });
    await expect(plan(lsn('0/7000000'))).rejects.toMatchObject({ code: 'restore.refused' });
    expect((await plan(lsn('0/4000000'), gap)).lines).toHaveLength(1);
    const named = await plan({ point: { kind: 'restore-point', name: 'x' }, timeline: 1 }, gap);
    expect(named.lines[1]).toMatch(/CAREFUL: 000000010000000000000005 was never archived/);
    // The segment in which a timeline begins may be only on the old one, as far as that went.
    const copied = lacking('000000020000000000000005');
    expect((await plan({ point: latest, timeline: 2 }, copied)).lines[0]).toContain('3 segments');
  });
});

it('is told to the server in one setting, behind all others', () => {
  for (const [point, name, value] of [
    [{ kind: 'time', at: '2026-11-20T12:00:00.000Z' }, 'recovery_target_time', '2026-11-20 12:00:00.000+00'],
    [{ kind: 'lsn', lsn: '0/5' }, 'recovery_target_lsn', '0/5'],
    [{ kind: 'immediate' }, 'recovery_target', 'immediate'],
  ] as const) {
    const settings = Object.entries(targetSettings({ point, timeline: 2 }));
    const targets = settings.filter(([one]) => /^recovery_target(?:_(?:lsn|name|xid|time))?$/.test(one));
    expect(targets).toHaveLength(5);
    expect(targets.at(-1)).toEqual([name, value]);
    expect(targets.slice(0, -1).every(([, each]) => each === '')).toBe(true);
  }
  expect(Object.values(targetSettings(undefined)).filter(Boolean)).toEqual(['on', 'promote', 'latest']);
});
