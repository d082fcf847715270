import { expect, test } from 'vitest';
import { LastWords } from '../src/restore/last-words.ts';
import { failsAtFirst, RestoreErrors } from '../src/restore/pg-restore-errors.ts';

const expected = [
  'pg_restore: error: could not execute query: ERROR:  unrecognized configuration parameter "transaction_timeout"',
  'Command was: SET transaction_timeout = 0;',
];
const summary = 'pg_restore: warning: errors ignored on restore: 2';

function read(lines: readonly string[]): { foreign: string[]; fine: boolean } {
  const foreign: string[] = [];
  const errors = new RestoreErrors((line) => foreign.push(line));
  for (const line of lines) errors.line(line);
  return { foreign, fine: errors.onlyExpected };
}

test('the error that each connection begins with is no error, when it is the only one and pg_restore came to its end', () => {
  expect(read([...expected, ...expected, summary])).toEqual({ foreign: [], fine: true });
  expect(read([...expected]).fine).toBe(false);
  expect(read([summary]).fine).toBe(false);
  expect(read([...expected, expected[0]!]).fine).toBe(false);
  expect(read([]).fine).toBe(false);
});

test('any other error is one too many', () => {
  const other = 'pg_restore: error: COPY failed for table "t": ERROR:  oops';
  expect(read([...expected, other, summary]).foreign).toEqual([other]);
  expect(
    read([expected[0]!, 'Command was: ALTER DATABASE x SET transaction_timeout = 0;', summary]).foreign,
  ).toEqual([expected[0]]);
});

test('it is only looked for where it happens', () => {
  expect([
    failsAtFirst(18, 15),
    failsAtFirst(17, 16),
    failsAtFirst(16, 15),
    failsAtFirst(18, 17),
    failsAtFirst(15, 15),
  ]).toEqual([true, true, false, false, false]);
});

test('the last lines of a program are logged unless an error repeats them', () => {
  const logged: string[] = [];
  const words = new LastWords((line) => logged.push(line));
  const lines = Array.from({ length: 10 }, (_, index) => `line ${index}`);
  for (const line of lines) words.add(line);
  expect(logged).toEqual(['line 0', 'line 1']);
  words.flush('it failed: line 2\nline 3\nline 4');
  expect(logged).toEqual([...lines.slice(0, 2), ...lines.slice(5)]);
});

test('what a pair of versions begins with is kept when it turns out to be something else', () => {
  const errors = new RestoreErrors(() => undefined);
  expect(errors.line(expected[0]!)).toEqual([]);
  expect(errors.line('Command was: SELECT 1;')).toEqual([expected[0], 'Command was: SELECT 1;']);
  expect(errors.line(summary)).toEqual([]);
});
