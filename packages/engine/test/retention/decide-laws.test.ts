import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { timeStamp } from '../../src/keys.ts';
import { decide } from '../../src/retention/decide.ts';
import type { Candidate } from '../../src/retention/decide.ts';
import { periods } from '../../src/retention/policy.ts';
import type { Keeping } from '../../src/retention/policy.ts';
import { mustStay } from './model.ts';
import type { Question } from './model.ts';

const settings = { seed: Number(process.env['PGSILO_TEST_SEED'] ?? 20261121), numRuns: 2000 };
const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

/** Moments at which clocks or calendars do something, each with a zone that shows it: changes by an hour, by half of one, at midnight, over the date line. */
const turns: readonly (readonly [zone: string, moment: string])[] = [
  ['Europe/Berlin', '2026-10-25T01:00:00Z'],
  ['Europe/Berlin', '2026-03-29T01:00:00Z'],
  ['Europe/Berlin', '2025-12-31T23:00:00Z'],
  ['America/New_York', '2026-11-01T06:00:00Z'],
  ['America/St_Johns', '2010-11-07T02:31:00Z'],
  ['America/Sao_Paulo', '2018-02-18T02:00:00Z'],
  ['Australia/Lord_Howe', '2026-04-04T15:00:00Z'],
  ['Australia/Lord_Howe', '2026-10-03T15:30:00Z'],
  ['Pacific/Apia', '2011-12-30T10:00:00Z'],
  ['Pacific/Chatham', '2026-04-04T14:00:00Z'],
  ['Asia/Kathmandu', '2020-12-31T18:15:00Z'],
  ['Asia/Kolkata', '2026-01-31T18:30:00Z'],
  ['+05:30', '2027-01-03T18:30:00Z'],
  ['UTC', '2024-02-29T12:00:00Z'],
  ['UTC', '2021-01-01T00:00:00Z'],
];

const span = fc.record({
  count: fc.integer({ min: 1, max: 40 }),
  unit: fc.constantFrom('hours', 'days', 'weeks', 'years'),
});
const few = fc.integer({ min: 1, max: 4 });

const keeping: fc.Arbitrary<Keeping> = fc.record(
  { last: few, within: span, hourly: few, daily: few, weekly: few, monthly: few, yearly: few },
  { requiredKeys: [] },
) as fc.Arbitrary<Keeping>;

const distance = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: -8, max: 8 }).map((steps) => steps * 15 * minute) },
  { weight: 2, arbitrary: fc.integer({ min: -80, max: 10 }).map((steps) => steps * hour) },
  { weight: 2, arbitrary: fc.integer({ min: -800, max: 2 }).map((steps) => steps * day) },
  { weight: 1, arbitrary: fc.integer({ min: -3 * day, max: 3 * hour }) },
);

const candidate = fc.record({
  distance,
  // A server's clock that is not the client's: ids do not follow the times of the states they hold.
  skew: fc.constantFrom(0, 0, 0, 2 * hour, -2 * hour, 300 * day),
  status: fc.constantFrom('good', 'good', 'good', 'good', 'damaged', 'destroyed', 'unknown'),
  requires: fc.oneof(
    { weight: 6, arbitrary: fc.constant<number[]>([]) },
    { weight: 3, arbitrary: fc.array(fc.integer({ min: 0, max: 10 }), { maxLength: 2 }) },
  ),
  mayRequireAny: fc.boolean(),
  proved: fc.boolean(),
  safety: fc.constantFrom(false, false, true),
  pinned: fc.oneof({ weight: 7, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
});

const question: fc.Arbitrary<Question> = fc
  .record({
    turn: fc.constantFrom(...turns),
    nowAfter: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 3 * day }), fc.constant(400 * day)),
    keeping: fc.option(keeping, { nil: undefined, freq: 10 }),
    held: fc.constantFrom(undefined, undefined, undefined, -day, 0, day),
    made: fc.array(candidate, { maxLength: 10 }),
  })
  .map(({ turn: [timezone, moment], nowAfter, keeping: given, held, made }) => {
    const anchor = Date.parse(moment);
    const now = new Date(anchor + nowAfter);
    const ids = made.map(
      (one, index) => `${timeStamp(new Date(anchor + one.distance + one.skew))}-00000${index.toString(16)}`,
    );
    const candidates = made.map((one, index): Candidate => {
      const { status, pinned, proved, safety } = one;
      const requires =
        status === 'unknown' && one.mayRequireAny ? 'unknown' : one.requires.map((of) => ids[of] ?? 'x');
      return { backup: ids[index]!, time: anchor + one.distance, status, requires, pinned, proved, safety };
    });
    const heldUntil = held === undefined ? {} : { heldUntil: new Date(now.getTime() + held) };
    return { candidates, keeping: given, timezone, now, ...heldUntil };
  });

describe('which backups stay, over thousands of made-up histories', () => {
  it('is what a slow and simple model says', () => {
    fc.assert(
      fc.property(question, (asked) => {
        const kept = decide(asked.candidates, asked).filter(({ keep }) => keep);
        expect(new Set(kept.map(({ backup }) => backup))).toEqual(mustStay(asked));
      }),
      settings,
    );
  });

  it('names at least one rule for each backup, and each backup once', () => {
    fc.assert(
      fc.property(question, (asked) => {
        const verdicts = decide(asked.candidates, asked);
        expect(verdicts.map(({ backup }) => backup).sort()).toEqual(
          asked.candidates.map(({ backup }) => backup).sort(),
        );
        expect(verdicts.every(({ reasons }) => reasons.length > 0)).toBe(true);
      }),
      settings,
    );
  });

  it('does not depend on the order in which a store lists them', () => {
    fc.assert(
      fc.property(question, fc.func(fc.integer()), (asked, order) => {
        const shuffled = [...asked.candidates].sort((a, b) => order(a.backup) - order(b.backup));
        expect(decide(shuffled, asked)).toEqual(decide(asked.candidates, asked));
      }),
      settings,
    );
  });

  it('is decided once: what a prune left is left by the next', () => {
    fc.assert(
      fc.property(question, (asked) => {
        const kept = (among: readonly Candidate[]): readonly Candidate[] => {
          const stay = new Set(decide(among, asked).flatMap(({ backup, keep }) => (keep ? [backup] : [])));
          return among.filter(({ backup }) => stay.has(backup));
        };
        const once = kept(asked.candidates);
        expect(kept(once)).toEqual(once);
      }),
      settings,
    );
  });

  it('never leaves a unit of the registry without the good backup that a restore would take', () => {
    fc.assert(
      fc.property(question, (asked) => {
        fc.pre(asked.heldUntil === undefined);
        const stays = new Set(
          decide(asked.candidates, asked).flatMap(({ backup, keep }) => (keep ? [backup] : [])),
        );
        const good = asked.candidates.filter(
          ({ status, requires, safety }) => status === 'good' && requires.length === 0 && !safety,
        );
        const [newest] = good
          .map(({ backup }) => backup)
          .sort()
          .reverse();
        // One with a greater id that needs others may be the newest restorable one; then it is kept in its place.
        const kept = asked.candidates.filter(
          ({ status, backup, safety }) => status === 'good' && !safety && stays.has(backup),
        );
        expect(newest === undefined || kept.some(({ backup }) => backup >= newest)).toBe(true);
      }),
      settings,
    );
  });

  it('never leaves a unit of the registry without the newest good backup that was proved', () => {
    fc.assert(
      fc.property(question, (asked) => {
        fc.pre(asked.heldUntil === undefined);
        const kept = decide(asked.candidates, asked).filter(({ keep }) => keep);
        const stays = new Set(kept.map(({ backup }) => backup));
        const clockOf = asked.now.getTime() + 3_600_000;
        const proved = asked.candidates.filter(
          ({ status, requires, proved: yes, time, safety }) =>
            status === 'good' && requires.length === 0 && yes && time <= clockOf && !safety,
        );
        const [newest] = proved
          .map(({ backup }) => backup)
          .sort()
          .reverse();
        // One with a greater id that needs others may be proved too; then that is the newest.
        const good = asked.candidates.filter(({ proved: yes, backup }) => yes && stays.has(backup));
        expect(newest === undefined || good.some(({ backup }) => backup >= newest)).toBe(true);
      }),
      settings,
    );
  });

  it('lets what a restore replaced push nothing out', () => {
    fc.assert(
      fc.property(question, (asked) => {
        const alone = asked.candidates.map((one): Candidate => ({ ...one, requires: [] }));
        const ordinary = alone.filter(({ safety }) => !safety);
        const sound = ordinary.some(
          ({ status, time }) => status === 'good' && time <= asked.now.getTime() + 3_600_000,
        );
        fc.pre(sound && ordinary.length < alone.length);
        const stays = (among: readonly Candidate[]): string[] =>
          decide(among, asked).flatMap(({ backup, keep }) => (keep ? [backup] : []));
        const others = new Set(ordinary.map(({ backup }) => backup));
        expect(stays(alone).filter((backup) => others.has(backup))).toEqual(stays(ordinary));
      }),
      settings,
    );
  });

  it('keeps no less when a rule keeps more', () => {
    fc.assert(
      fc.property(question, fc.constantFrom('last', ...periods), (asked, rule) => {
        fc.pre(asked.keeping?.[rule] !== undefined);
        const more = { ...asked, keeping: { ...asked.keeping, [rule]: asked.keeping[rule]! + 1 } };
        const stays = (given: Question): string[] =>
          decide(given.candidates, given).flatMap(({ backup, keep }) => (keep ? [backup] : []));
        expect(stays(more)).toEqual(expect.arrayContaining(stays(asked)));
      }),
      settings,
    );
  });
});
