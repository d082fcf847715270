import { describe, expect, it } from 'vitest';
import { sharedPostgres } from '@pgsilo/testkit/postgres';
import {
  conninfo,
  fitIdentifier,
  openSession,
  parseConnection,
  quoteIdentifier,
  quoteLiteral,
  showName,
} from '../src/index.ts';

const awkward = [
  'plain',
  'a b',
  'a"b',
  "a'b",
  'a\\b',
  "\\'",
  '--file=x',
  'dbname=postgres',
  'ñandú',
  'two\nlines',
  'é'.repeat(31),
  '$$',
  '%I',
];

describe('quoting', () => {
  it('is undone by the server, for identifiers and literals', async () => {
    const server = await sharedPostgres();
    for (const conforming of ['on', 'off']) {
      const session = await openSession(parseConnection(server.url), {
        applicationName: 'test',
        purpose: 'test quoting',
      });
      try {
        await session.query(`SET standard_conforming_strings = ${conforming}`);
        await session.query('SET escape_string_warning = off');
        for (const name of awkward) {
          const rows = await session.query(`SELECT ${quoteLiteral(name)}::text AS ${quoteIdentifier(name)}`);
          expect(rows).toEqual([{ [name]: name }]);
        }
      } finally {
        await session.close();
      }
    }
  });

  it('refuses NUL', () => {
    for (const quote of [quoteIdentifier, quoteLiteral, (value: string) => conninfo({ dbname: value })]) {
      expect(() => quote('a\0b')).toThrow(/NUL/);
    }
  });

  it('escapes for libpq', () => {
    expect(conninfo({ dbname: `a'b\\c d`, port: '1' })).toBe(`dbname='a\\'b\\\\c d' port='1'`);
  });

  it('cuts a stem on a boundary of characters and keeps the suffix', () => {
    const suffix = '_restored_20261121';
    for (const stem of ['a'.repeat(63), 'é'.repeat(40), '日本'.repeat(20), `x${'😀'.repeat(16)}`]) {
      const fitted = fitIdentifier(stem, suffix);
      expect(Buffer.byteLength(fitted)).toBeLessThanOrEqual(63);
      expect(Buffer.byteLength(fitted)).toBeGreaterThan(63 - 4);
      expect(fitted.endsWith(suffix)).toBe(true);
      expect(stem.startsWith(fitted.slice(0, -suffix.length))).toBe(true);
      expect(fitted).not.toContain('�');
    }
    expect(fitIdentifier('short', suffix)).toBe(`short${suffix}`);
    expect(() => fitIdentifier('x', 'y'.repeat(64))).toThrow(/does not fit/);
  });

  it('shows names on one line', () => {
    expect(showName('acme_1.eu-west')).toBe('acme_1.eu-west');
    expect(showName('two\nlines')).toBe('"two\\nlines"');
    expect(showName('a\u202eb c')).toBe('"a\\u{202e}b c"');
  });
});
