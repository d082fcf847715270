import { expect, test } from 'vitest';
import { parseRows } from '../src/rows-argument.ts';

test.each([
  [`accounts where tenant_id = 'abc'`, 'accounts', `tenant_id = 'abc'`],
  [' acme.accounts  WHERE\nid IN (SELECT 1 where true)', 'acme.accounts', 'id IN (SELECT 1 where true)'],
  ['"odd where ""x"" y"."a.b" Where true', '"odd where ""x"" y"."a.b"', 'true'],
])('%j names a table and a condition', (text, table, where) => {
  expect(parseRows(text)).toEqual({ table, where });
});

test.each(['accounts', 'accounts where', 'where id = 1', 'a b where true', 'a.b.c where true', ''])(
  '%j does not',
  (text) => {
    expect(() => parseRows(text)).toThrow(/is not of the form/);
  },
);
