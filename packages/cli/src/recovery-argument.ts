import { parseTime } from '@pgsilo/engine';
import { PgsiloError, type RecoveryGoal, type RecoveryPoint, type TimelineChoice } from '@pgsilo/plugin';

/** The options that say where recovery ends, as they were written. */
export interface GoalOptions {
  readonly at?: string;
  readonly lsn?: string;
  readonly xid?: string;
  readonly restorePoint?: string;
  readonly immediate?: boolean;
  readonly latest?: boolean;
  readonly timeline?: string;
  readonly before?: string;
}

/** PostgreSQL's `MAXFNAMELEN`, without the zero byte. */
const longestName = 63;
/** The numbers below stand for no transaction of a person's (access/transam.h). */
const firstTransaction = 3n;
const greatestTransaction = 2n ** 64n - 1n;
const greatestTimeline = 2 ** 32 - 1;

/** The goal that is asked for; undefined: the state of a backup. Throws `usage.invalid`. */
export function parseGoal(options: GoalOptions, timezone: string | undefined): RecoveryGoal | undefined {
  const given = goalsOf(options);
  if (given.length > 1)
    throw usage(`${given.slice(0, 2).join(' and ')} exclude each other`, 'Give one of them.');
  const [flag] = given;
  const { timeline } = options;
  if (timeline !== undefined && (flag === undefined || flag === '--immediate'))
    throw usage(
      `--timeline is given ${flag === undefined ? 'without a goal' : `with ${flag}`}, and a backup lies on its own`,
      'It goes with --at, --lsn, --xid, --restore-point or --latest.',
    );
  if (flag === '--at' && options.before !== undefined)
    throw usage(
      '--before and --at exclude each other',
      'The newest backup not after the moment is taken; --backup names another.',
    );
  return flag === undefined
    ? undefined
    : { point: parsePoint(options, timezone), timeline: parseTimeline(timeline) };
}

/** The flags among the options that name a goal. */
export function goalsOf(options: GoalOptions): readonly string[] {
  const { at, lsn, xid, restorePoint, immediate, latest } = options;
  return Object.entries({
    '--at': at,
    '--lsn': lsn,
    '--xid': xid,
    '--restore-point': restorePoint,
    '--immediate': immediate,
    '--latest': latest,
  }).flatMap(([flag, value]) => (value === undefined ? [] : [flag]));
}

function parsePoint(options: GoalOptions, timezone: string | undefined): RecoveryPoint {
  const { at, lsn, xid, restorePoint } = options;
  if (at !== undefined) return { kind: 'time', at: parseTime(at, timezone).toISOString() };
  if (lsn !== undefined) return { kind: 'lsn', lsn: parsePosition(lsn) };
  if (xid !== undefined) return { kind: 'xid', xid: parseTransaction(xid) };
  if (restorePoint !== undefined) return { kind: 'restore-point', name: parseName(restorePoint) };
  return { kind: options.latest ? 'latest' : 'immediate' };
}

function parsePosition(text: string): string {
  if (/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/i.test(text)) return text.toUpperCase();
  throw usage(
    `--lsn ${JSON.stringify(text)} is no position in the write-ahead log`,
    'Write it as PostgreSQL does: --lsn 16/B374D848.',
  );
}

/** PostgreSQL reads a number that begins with 0 as one of base 8, and takes what is too great modulo its size. */
function parseTransaction(text: string): string {
  if (/^[1-9]\d{0,19}$/.test(text)) {
    const number = BigInt(text);
    const short = number % 2n ** 32n;
    if (number <= greatestTransaction && short >= firstTransaction) return text;
  }
  throw usage(
    `--xid ${JSON.stringify(text)} is no number of a transaction`,
    'It is a whole number from 3, as pg_current_xact_id() gives it.',
  );
}

function parseName(name: string): string {
  const bytes = Buffer.byteLength(name);
  const wrong =
    bytes === 0
      ? 'is empty'
      : bytes > longestName
        ? `has ${bytes} bytes, and a restore point's name has at most ${longestName}`
        : /\p{Cc}/u.test(name)
          ? 'holds control characters'
          : undefined;
  if (wrong === undefined) return name;
  throw usage(
    `the name of --restore-point ${JSON.stringify(name)} ${wrong}`,
    'Give it as pg_create_restore_point got it.',
  );
}

function parseTimeline(text: string | undefined): TimelineChoice {
  if (text === undefined || text === 'latest') return 'latest';
  if (text === 'current') return text;
  if (/^[1-9]\d{0,9}$/.test(text) && Number(text) <= greatestTimeline) return Number(text);
  throw usage(
    `--timeline ${JSON.stringify(text)} is none`,
    'Write its number, in decimal digits, or latest, or current for that of the backup.',
  );
}

function usage(message: string, hint: string): PgsiloError {
  return new PgsiloError('usage.invalid', message, { hint });
}
