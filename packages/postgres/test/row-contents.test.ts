import { expect, it } from 'vitest';
import { WithoutRowContents } from '../src/row-contents.ts';

function shown(text: string): string[] {
  const filter = new WithoutRowContents();
  return text.split('\n').flatMap((line) => filter.line(line) ?? []);
}

it.each([
  [
    'a failing row',
    `pg_restore: error: COPY failed for table "t": ERROR:  new row for relation "t" violates check constraint "c"
DETAIL:  Failing row contains (1, hidden
hidden).
CONTEXT:  COPY t, line 3: "1\thidden"
pg_restore: done`,
    [
      'pg_restore: error: COPY failed for table "t": ERROR:  new row for relation "t" violates check constraint "c"',
      'CONTEXT:  COPY t, line 3',
      'pg_restore: done',
    ],
  ],
  [
    'a value that cannot be read',
    `pg_restore: error: COPY failed for table "t": ERROR:  invalid input syntax for type json: "hidden
hidden"
DETAIL:  Token "hidden" is invalid.
CONTEXT:  JSON data, line 1: hidden
COPY t, line 2, column j: "hidden`,
    [
      'pg_restore: error: COPY failed for table "t": ERROR:  invalid input syntax for type json',
      'COPY t, line 2, column j',
    ],
  ],
  [
    'rows that psql was given',
    `psql:<stdin>:5: WARNING:  kept
psql:<stdin>:7: ERROR:  invalid input syntax for type json: "hidden
hidden"
DETAIL:  Token "hidden" is invalid.
CONTEXT:  JSON data, line 1: hidden
COPY t, line 2, column j: "hidden`,
    [
      'psql:<stdin>:5: WARNING:  kept',
      'psql:<stdin>:7: ERROR:  invalid input syntax for type json',
      'COPY t, line 2, column j',
    ],
  ],
  [
    'another language',
    `pg_restore: error: COPY failed for table "t": FEHLER:  neue Zeile für Relation »t« verletzt Check-Constraint »c«
DETAIL:  Fehlgeschlagene Zeile enthält (hidden).
CONTEXT:  COPY t, Zeile 1: »hidden«`,
    [
      'pg_restore: error: COPY failed for table "t": FEHLER:  neue Zeile für Relation »t« verletzt Check-Constraint »c«',
      'CONTEXT:  COPY t, Zeile 1',
    ],
  ],
  [
    'a key',
    `pg_restore: error: could not execute query: ERROR:  could not create unique index "i"
DETAIL:  Key (lower(a), b)=(hidden
hidden, 1) is duplicated.
Command was: CREATE UNIQUE INDEX i ON t (a);`,
    [
      'pg_restore: error: could not execute query: ERROR:  could not create unique index "i"',
      'DETAIL:  Key (lower(a), b)',
      'Command was: CREATE UNIQUE INDEX i ON t (a);',
    ],
  ],
])('%s is left out, its place stays', (_, text, expected) => {
  expect(shown(text)).toEqual(expected);
});

it('what holds no row stays as it is', () => {
  const text = `pg_restore: error: could not execute query: ERROR:  extension "x" is not available
DETAIL:  Could not open extension control file "/x.control": No such file or directory.
HINT:  The extension must first be installed.

Command was: CREATE EXTENSION x;`;
  expect(shown(text)).toEqual(text.split('\n'));
});
