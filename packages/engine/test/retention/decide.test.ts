import { describe, expect, it } from 'vitest';
import { timeStamp } from '../../src/keys.ts';
import { after, before } from '../../src/retention/calendar.ts';
import { decide } from '../../src/retention/decide.ts';
import type { Candidate, Situation } from '../../src/retention/decide.ts';
import { keepingOf } from '../../src/retention/policy.ts';

/** A good backup of a moment; its id is what a run at that moment gets. */
function at(moment: string, given: Partial<Candidate> = {}): Candidate {
  const time = Date.parse(moment);
  const backup = `${timeStamp(new Date(time))}-000000`;
  return {
    backup,
    time,
    status: 'good',
    requires: [],
    pinned: false,
    proved: false,
    safety: false,
    ...given,
  };
}

/** Times of day or dates of what stays, newest first. */
function stays(candidates: readonly Candidate[], situation: Partial<Situation>): string[] {
  const verdicts = decide(candidates, {
    keeping: { last: 1 },
    timezone: 'UTC',
    now: new Date('2026-11-21T12:00:00Z'),
    ...situation,
  });
  const kept = verdicts.flatMap(({ backup, keep }) => (keep ? [backup] : []));
  return kept.map((id) =>
    new Date(candidates.find(({ backup }) => backup === id)!.time).toISOString().slice(0, 16),
  );
}

function rulesOf(candidates: readonly Candidate[], situation: Partial<Situation>): string[][] {
  const verdicts = decide(candidates, {
    keeping: { last: 1 },
    timezone: 'UTC',
    now: new Date('2026-11-21T12:00:00Z'),
    ...situation,
  });
  return verdicts.map(({ reasons }) => reasons.map(({ rule }) => rule));
}

describe('periods are those of the clock on the wall in the zone', () => {
  it('keeps the newest of each day, and a day without a backup costs none of them', () => {
    const all = ['2026-11-20T02:00Z', '2026-11-20T14:00Z', '2026-11-18T02:00Z', '2026-11-17T02:00Z'].map(
      (time) => at(time),
    );
    expect(stays(all, { keeping: { daily: 2 } })).toEqual(['2026-11-20T14:00', '2026-11-18T02:00']);
  });

  it('lets a day begin at midnight of a zone of 45 minutes', () => {
    // 18:15 UTC is midnight in Kathmandu.
    const all = ['2026-11-19T18:14Z', '2026-11-19T18:15Z', '2026-11-19T20:00Z'].map((time) => at(time));
    expect(stays(all, { keeping: { daily: 9 }, timezone: 'Asia/Kathmandu' })).toEqual([
      '2026-11-19T20:00',
      '2026-11-19T18:14',
    ]);
  });

  it('takes an hour that the clock shows twice for two', () => {
    // 02:30 summer time, then 02:30 winter time.
    const all = ['2026-10-25T00:30Z', '2026-10-25T01:30Z'].map((time) => at(time));
    expect(stays(all, { keeping: { hourly: 9 }, timezone: 'Europe/Berlin' })).toHaveLength(2);
  });

  it('takes a day that is left and entered again, where clocks go back over midnight, for one', () => {
    // 00:00 on the 7th, 23:30 on the 6th again, 00:30 on the 7th.
    const all = ['2010-11-07T02:30Z', '2010-11-07T03:00Z', '2010-11-07T04:00Z'].map((time) => at(time));
    expect(stays(all, { keeping: { daily: 9 }, timezone: 'America/St_Johns' })).toEqual([
      '2010-11-07T04:00',
      '2010-11-07T03:00',
    ]);
  });

  it('begins weeks on Monday, also where a week has days of two years', () => {
    const all = ['2020-12-27T12:00Z', '2020-12-28T12:00Z', '2021-01-03T12:00Z', '2021-01-04T12:00Z'].map(
      (time) => at(time),
    );
    expect(stays(all, { keeping: { weekly: 9 } })).toEqual([
      '2021-01-04T12:00',
      '2021-01-03T12:00',
      '2020-12-27T12:00',
    ]);
    expect(stays(all, { keeping: { yearly: 9 } })).toEqual(['2021-01-04T12:00', '2020-12-28T12:00']);
    expect(stays(all, { keeping: { monthly: 9 } })).toEqual(['2021-01-04T12:00', '2020-12-28T12:00']);
  });

  it.each([
    ['before', { count: 1, unit: 'years' }, '2024-02-29T12:00:00.000Z', '2023-02-28T12:00:00.000Z'],
    ['before', { count: 4, unit: 'years' }, '2024-02-29T12:00:00.000Z', '2020-02-29T12:00:00.000Z'],
    ['after', { count: 1, unit: 'years' }, '2024-02-29T12:00:00.000Z', '2025-03-01T12:00:00.000Z'],
    ['before', { count: 2, unit: 'weeks' }, '2026-11-21T12:00:00.000Z', '2026-11-07T12:00:00.000Z'],
    ['after', { count: 36, unit: 'hours' }, '2026-11-21T12:00:00.000Z', '2026-11-23T00:00:00.000Z'],
  ] as const)('%s by %j from %s is %s: never less than was asked for', (way, span, from, to) => {
    expect((way === 'before' ? before : after)(new Date(from), span).toISOString()).toBe(to);
  });
});

describe('what is kept whatever the rules say', () => {
  const old = at('2020-01-01T00:00Z');

  it('the newest good backup, however old, and damaged ones after it', () => {
    const damaged = at('2026-11-20T00:00Z', { status: 'damaged' });
    const all = [old, at('2019-01-01T00:00Z'), damaged];
    expect(stays(all, { keeping: { within: { count: 1, unit: 'days' } } })).toEqual([
      '2026-11-20T00:00',
      '2020-01-01T00:00',
    ]);
    expect(rulesOf(all, {})).toEqual([['damaged'], ['newest', 'last'], ['none']]);
  });

  it('what a kept one requires, and what that requires', () => {
    const full = at('2026-11-01T00:00Z');
    const next = at('2026-11-02T00:00Z', { requires: [full.backup] });
    const last = at('2026-11-03T00:00Z', { requires: [next.backup] });
    expect(rulesOf([full, next, last, old], {})).toEqual([
      ['newest', 'last'],
      ['required'],
      ['required'],
      ['none'],
    ]);
  });

  it('a chain of any length', () => {
    const hour = 3_600_000;
    const first = Date.parse('2026-11-21T00:00Z') - 20_000 * hour;
    const chain: Candidate[] = [];
    for (let place = 0; place < 20_000; place += 1) {
      const requires = chain.slice(-1).map(({ backup }) => backup);
      chain.push(at(new Date(first + place * hour).toISOString(), { requires }));
    }
    expect(new Set(rulesOf(chain, {}).map(String))).toEqual(new Set(['newest,last', 'required']));
  });

  it('the last one that can be restored, when the chain of the newest is broken', () => {
    const broken = at('2026-11-03T00:00Z', { requires: ['20261101T000000Z-ffffff'] });
    expect(rulesOf([broken, old], {})).toEqual([['damaged'], ['newest', 'last']]);
  });

  it('older ones of which one that cannot be read may need any', () => {
    const unknown = at('2026-11-03T00:00Z', { status: 'unknown', requires: 'unknown' });
    const newest = at('2026-11-04T00:00Z');
    expect(rulesOf([newest, unknown, old], {})).toEqual([['newest', 'last'], ['unreadable'], ['required']]);
    const corrupt = { ...unknown, requires: [] };
    expect(rulesOf([newest, corrupt, old], {})).toEqual([['newest', 'last'], ['unreadable'], ['none']]);
  });

  it('those of a clock that is wrong, which take no place of the others', () => {
    const ahead = ['2027-01-01T00:00Z', '2027-01-02T00:00Z'].map((time) => at(time));
    const real = ['2026-11-20T00:00Z', '2026-11-19T00:00Z', '2026-11-18T00:00Z'].map((time) => at(time));
    expect(stays([...ahead, ...real], { keeping: { last: 2 } })).toEqual([
      '2027-01-02T00:00',
      '2027-01-01T00:00',
      '2026-11-20T00:00',
      '2026-11-19T00:00',
    ]);
    // A server's clock may be a little ahead of the client's.
    expect(rulesOf([at('2026-11-21T12:59Z'), real[0]!], {})).toEqual([['newest', 'last'], ['none']]);
  });

  it('all of a unit of which nothing was said', () => {
    expect(rulesOf([old, at('2026-11-20T00:00Z')], { keeping: undefined })).toEqual([
      ['newest', 'unruled'],
      ['unruled'],
    ]);
  });

  it('what is exactly as old as `within` allows', () => {
    const edge = at('2026-11-20T12:00:00Z');
    const within = { count: 1, unit: 'days' } as const;
    expect(
      rulesOf([at('2026-11-21T00:00Z'), edge, at('2026-11-20T11:59:59.999Z')], { keeping: { within } }),
    ).toEqual([['newest', 'within'], ['within'], ['none']]);
  });
});

describe('a unit that left the registry', () => {
  const backups = [
    at('2024-11-20T00:00Z'),
    at('2024-11-19T00:00Z'),
    at('2024-11-18T00:00Z', { pinned: true }),
  ];

  it('keeps everything until its time is over', () => {
    expect(stays(backups, { heldUntil: new Date('2026-11-21T12:00:01Z') })).toHaveLength(3);
  });

  it('then loses everything that is not pinned, the newest included', () => {
    expect(rulesOf(backups, { heldUntil: new Date('2026-11-21T12:00:00Z') })).toEqual([
      ['departed'],
      ['departed'],
      ['pinned'],
    ]);
    expect(stays(backups, { heldUntil: new Date('2026-11-21T12:00:00Z') })).toEqual(['2024-11-18T00:00']);
  });
});

describe('rules by label', () => {
  const years = { count: 2, unit: 'years' } as const;
  const retention = {
    timezone: 'UTC',
    daily: 90,
    departed: years,
    rules: [
      { where: { plan: 'demo', region: 'eu' }, weekly: 2 },
      { where: { plan: 'demo' }, weekly: 4 },
      { where: { plan: 'gone' }, last: 1, departed: { count: 1, unit: 'weeks' } as const },
    ],
  };
  it.each([
    [
      { plan: 'demo', region: 'eu' },
      { weekly: 2, departed: years },
    ],
    [
      { plan: 'demo', region: 'us' },
      { weekly: 4, departed: years },
    ],
    [{ plan: 'gone' }, { last: 1, departed: { count: 1, unit: 'weeks' } }],
    [{ plan: 'pro' }, { daily: 90, departed: years }],
    [{}, { daily: 90, departed: years }],
  ])('for %j the first that fits holds, in place of the general ones', (labels, keeping) => {
    const {
      where: _,
      timezone: _zone,
      rules: _rules,
      ...found
    } = keepingOf(retention, labels) as Record<string, unknown>;
    expect(found).toEqual(keeping);
  });

  it('that fit nobody leave a unit without a rule, and its backups stay', () => {
    expect(keepingOf({ timezone: 'UTC', rules: retention.rules }, { plan: 'pro' })).toBeUndefined();
  });
});

describe('what a restore replaced', () => {
  const saved = (moment: string): Candidate => at(moment, { safety: true });

  it('does not push out what it was replaced by', () => {
    const all = [at('2026-11-20T02:00Z'), saved('2026-11-20T15:00Z')];
    expect(stays(all, { keeping: { last: 1 } })).toEqual(['2026-11-20T15:00', '2026-11-20T02:00']);
  });

  it('is gone when as many others came after it as are kept', () => {
    const all = [saved('2026-11-18T15:00Z'), at('2026-11-19T02:00Z'), at('2026-11-20T02:00Z')];
    expect(stays(all, { keeping: { last: 3 } })).toHaveLength(3);
    expect(stays(all, { keeping: { last: 2 } })).toEqual(['2026-11-20T02:00', '2026-11-19T02:00']);
  });

  it('stays as the last of its day, and of several that day the newest', () => {
    const all = [
      at('2026-11-19T02:00Z'),
      saved('2026-11-19T09:00Z'),
      saved('2026-11-19T10:00Z'),
      at('2026-11-20T02:00Z'),
    ];
    expect(stays(all, { keeping: { daily: 2 } })).toEqual([
      '2026-11-20T02:00',
      '2026-11-19T10:00',
      '2026-11-19T02:00',
    ]);
  });

  it('counts where there is nothing else', () => {
    expect(
      stays([saved('2026-01-01T00:00Z')], { keeping: { within: { count: 1, unit: 'days' } } }),
    ).toHaveLength(1);
  });
});
