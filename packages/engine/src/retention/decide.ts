import { before, periodsAt } from './calendar.ts';
import { saysSomething, periods } from './policy.ts';
import type { Keeping, Period } from './policy.ts';

/** What is known of one backup of a unit in one sink. */
export interface Candidate {
  readonly backup: string;
  /** The moment whose state it holds, in milliseconds. */
  readonly time: number;
  /** `destroyed`: its keys were, on purpose. `unknown`: its manifest cannot be read. */
  readonly status: 'good' | 'damaged' | 'destroyed' | 'unknown';
  /** Backups that it cannot be restored without; `unknown` where it may need any older one. */
  readonly requires: readonly string[] | 'unknown';
  readonly pinned: boolean;
  /** The newest answer to whether it restores was yes. */
  readonly proved: boolean;
  /** Holds what a restore replaced: rules keep it as any other, but it takes no place from another. */
  readonly safety: boolean;
}

/** Why a backup is kept, or why it is not. */
export type Reason =
  | { readonly rule: 'last' | Period; readonly place: number; readonly of: number }
  | { readonly rule: 'required'; readonly by: string }
  | { readonly rule: Exclude<PlainRule, 'departed'> }
  | { readonly rule: 'departed'; readonly until: Date };

type PlainRule =
  | 'within'
  /** The newest good one. */
  | 'newest'
  /** The newest good one that was proved by restoring it. */
  | 'verified'
  | 'pinned'
  | 'departed'
  /** Its time lies ahead: some clock is wrong. */
  | 'ahead'
  /** Damaged, destroyed or not restorable, and there is no newer good one; or there is. */
  | 'damaged'
  | 'unreadable'
  /** Nothing was said about units like this. */
  | 'unruled'
  /** No rule keeps it. */
  | 'none';

export interface Verdict {
  readonly backup: string;
  readonly keep: boolean;
  /** At least one. */
  readonly reasons: readonly Reason[];
}

export interface Situation {
  /** Undefined: nothing was said about the unit. */
  readonly keeping: Keeping | undefined;
  readonly timezone: string;
  readonly now: Date;
  /** For a unit that is no longer in the registry, where `departed` is set: until when all of it is held. Afterwards nothing but a pin holds it. */
  readonly heldUntil?: Date;
}

/** How far the clocks of server and client may differ before a backup's time is taken for wrong. */
const clockSkew = 3_600_000;

/** What becomes of the backups of one unit in one sink, newest first. Pure: the same is answered for the same question. */
export function decide(candidates: readonly Candidate[], situation: Situation): readonly Verdict[] {
  const { keeping, now, heldUntil } = situation;
  const newestFirst = [...candidates].sort((a, b) => b.time - a.time || (a.backup < b.backup ? 1 : -1));
  const reasons = new Map<string, Reason[]>(newestFirst.map(({ backup }) => [backup, []]));
  const keep = (backup: string, reason: Reason): void => void reasons.get(backup)!.push(reason);

  // Oldest first: what one requires is known by then, however long the chain.
  const whole = wholeOnes(newestFirst.toReversed());
  const ahead = (one: Candidate): boolean => one.time > now.getTime() + clockSkew;
  const counted = newestFirst.filter((one) => whole.has(one.backup) && !ahead(one));
  // What a restore replaced is newer than what it came from, and must not push that out.
  const ordinary = counted.filter(({ safety }) => !safety);
  const main = ordinary.length > 0 ? ordinary : counted;
  const expired = heldUntil !== undefined && now >= heldUntil;

  for (const one of newestFirst) {
    if (one.pinned) keep(one.backup, { rule: 'pinned' });
    if (one.status === 'unknown') keep(one.backup, { rule: 'unreadable' });
    else if (heldUntil && !expired) keep(one.backup, { rule: 'departed', until: heldUntil });
  }
  if (!expired) {
    const newest = newestOf(main);
    if (newest) keep(newest.backup, { rule: 'newest' });
    const newestProved = newestOf(main.filter(({ proved }) => proved));
    if (newestProved) keep(newestProved.backup, { rule: 'verified' });
    if (keeping && saysSomething(keeping)) keepByRules(counted, new Set(main), keeping, situation, keep);
    else for (const one of newestFirst) keep(one.backup, { rule: 'unruled' });
    const newestGood = main[0];
    for (const one of newestFirst) {
      if (one.status === 'unknown') continue;
      if (ahead(one)) keep(one.backup, { rule: 'ahead' });
      else if (!whole.has(one.backup) && (!newestGood || isNewer(one, newestGood)))
        keep(one.backup, { rule: 'damaged' });
    }
  }
  keepRequired(newestFirst, reasons);
  return newestFirst.map(({ backup }) => {
    const found = reasons.get(backup)!;
    if (found.length > 0) return { backup, keep: true, reasons: found };
    const why: Reason = expired
      ? { rule: 'departed', until: heldUntil }
      : { rule: whole.has(backup) ? 'none' : 'damaged' };
    return { backup, keep: false, reasons: [why] };
  });
}

/** What a restore would take: the greatest id, as the catalog orders them. */
function newestOf(good: readonly Candidate[]): Candidate | undefined {
  return good.reduce<Candidate | undefined>(
    (newest, one) => (newest && newest.backup > one.backup ? newest : one),
    undefined,
  );
}

function isNewer(a: Candidate, b: Candidate): boolean {
  return a.time > b.time || (a.time === b.time && a.backup > b.backup);
}

/** Those that can be restored: good, and all that they require is there and good. */
function wholeOnes(candidates: readonly Candidate[]): ReadonlySet<string> {
  const byId = new Map(candidates.map((one) => [one.backup, one]));
  const known = new Map<string, boolean>();
  const isWhole = (backup: string): boolean => {
    const answer = known.get(backup);
    if (answer !== undefined) return answer;
    const one = byId.get(backup);
    // Stands until the answer is known, so that a circle is no endless way: nothing in one can be restored.
    known.set(backup, false);
    const result =
      one?.status === 'good' && one.requires !== 'unknown' && one.requires.every((other) => isWhole(other));
    known.set(backup, result);
    return result;
  };
  return new Set(candidates.map(({ backup }) => backup).filter((backup) => isWhole(backup)));
}

/** @param main those that take places; the others are kept where they would get one too, among all and among themselves. */
function keepByRules(
  counted: readonly Candidate[],
  main: ReadonlySet<Candidate>,
  keeping: Keeping,
  { now, timezone }: Situation,
  keep: (backup: string, reason: Reason) => void,
): void {
  const { last, within } = keeping;
  if (last !== undefined) {
    const newer = { main: 0, beside: 0 };
    for (const one of counted) {
      const place = 1 + (main.has(one) ? newer.main : Math.max(newer.main, newer.beside));
      if (place <= last) keep(one.backup, { rule: 'last', place, of: last });
      newer[main.has(one) ? 'main' : 'beside'] += 1;
    }
  }
  if (within) {
    const oldest = before(now, within).getTime();
    for (const one of counted) if (one.time >= oldest) keep(one.backup, { rule: 'within' });
  }
  const wanted = periods.filter((period) => keeping[period] !== undefined);
  if (wanted.length === 0) return;
  // Sets, not the last one seen: where clocks go back over midnight a day is left and entered again.
  const seen = new Map(
    wanted.map((period) => [period, { main: new Set<string>(), beside: new Set<string>() }]),
  );
  for (const one of counted) {
    const periodOf = periodsAt(one.time, timezone);
    for (const period of wanted) {
      const of = keeping[period]!;
      const taken = seen.get(period)!;
      const own = periodOf(period);
      if (taken.main.has(own) || taken.main.size >= of) continue;
      if (!main.has(one) && taken.beside.has(own)) continue;
      taken[main.has(one) ? 'main' : 'beside'].add(own);
      keep(one.backup, { rule: period, place: main.has(one) ? taken.main.size : taken.main.size + 1, of });
    }
  }
}

/** What a kept backup needs is kept, and what that needs. */
function keepRequired(newestFirst: readonly Candidate[], reasons: ReadonlyMap<string, Reason[]>): void {
  const byId = new Map(newestFirst.map((one) => [one.backup, one]));
  const pending = newestFirst.filter(({ backup }) => reasons.get(backup)!.length > 0);
  const done = new Set(pending);
  for (const one of pending) {
    const needed =
      one.requires === 'unknown'
        ? newestFirst.filter((other) => isNewer(one, other)).map(({ backup }) => backup)
        : one.requires;
    for (const backup of needed) {
      const other = byId.get(backup);
      if (!other) continue;
      const found = reasons.get(backup)!;
      if (!found.some(({ rule }) => rule === 'required')) found.push({ rule: 'required', by: one.backup });
      if (done.has(other)) continue;
      done.add(other);
      pending.push(other);
    }
  }
}
