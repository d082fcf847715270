import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { collect } from '@pgsilo/testkit';
import { DatabaseBody } from '../src/database-body.ts';
import { DumpReader, type Piece } from '../src/dump-reader.ts';

/** What a reader makes of a text that comes in chunks of this size. */
function read(
  text: string,
  size = text.length,
): { kinds: string[]; bytes: string; statements: string[]; rows: number } {
  const reader = new DumpReader();
  const data = Buffer.from(text);
  const pieces: Piece[] = [];
  for (let at = 0; at < data.length; at += size)
    for (const piece of reader.push(data.subarray(at, at + size)))
      pieces.push({ ...piece, bytes: Buffer.from(piece.bytes) });
  reader.end();
  return {
    kinds: pieces.map((piece) => piece.type),
    bytes: Buffer.concat(pieces.map((piece) => piece.bytes)).toString(),
    statements: pieces.filter((piece) => piece.type === 'statement').map((piece) => piece.bytes.toString()),
    rows: pieces.reduce((sum, piece) => sum + (piece.type === 'rows' ? piece.rows : 0), 0),
  };
}

const refused = expect.objectContaining({ code: 'source.archive-invalid' });

/** Each is one statement, whatever it looks like. */
const statements: Readonly<Record<string, string>> = {
  'a semicolon in a string': `SELECT ';';`,
  'a doubled quote': `SELECT 'it''s; \\';`,
  'an escape string': `SELECT E'it\\'s; \\\\', e'\\';';`,
  'an escape string with a doubled quote': `SELECT E'a'';\\'b';`,
  'an escape string that is continued': `SELECT E'a'\n'\\';b';`,
  'a word that ends in e before a string': `SELECT date'\\';`,
  'a name with everything': `SELECT "a;'""--/*$$\\";`,
  'a dollar quote': `SELECT $$;'"--\n\\connect x\n/*$$;`,
  'a dollar quote with a tag': `SELECT $f$ $$ $x$ $ff$ $f ; $f$;`,
  'a tag that begins with its own beginning': `SELECT $a$ $$a$;`,
  'a name with dollars': `SELECT a$b$c;`,
  'a parameter': `SELECT $1;`,
  'a line comment': `SELECT 1 -- ; ' " $$\n;`,
  'a comment right after a comment': `SELECT 1 --\n-\n;`,
  'nested comments': `SELECT /* ; /* ' */ ; */ 1;`,
  'a comment that looks as if it ended': `SELECT /*/ ; */ 1;`,
  parentheses: `CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM a; DELETE FROM b;);`,
  'the SQL body of a function': `CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;`,
  'letters beyond ASCII': `SELECT ñ$x$ FROM "ñ;" WHERE é = $ñ$;$ñ$;`,
};

describe('the reader of dumps', () => {
  test.each(Object.entries(statements))('finds the end of a statement with %s', (_name, text) => {
    for (const size of [1, 2, 3, 5, text.length]) {
      const whole = `${text}\n\nSELECT 2;\n`;
      const found = read(whole, size);
      expect(found.statements).toEqual([text, 'SELECT 2;']);
      expect(found.bytes).toBe(whole);
    }
  });

  test('takes backslashes for escapes where the dump says that strings have them', () => {
    const text = `SET standard_conforming_strings = off;\nSELECT 'a\\';';\nSET standard_conforming_strings = on;\nSELECT 'a\\';\n`;
    expect(read(text).statements[1]).toBe(`SELECT 'a\\';';`);
    expect(read(text).statements[3]).toBe(`SELECT 'a\\';`);
  });

  test('counts rows, and knows their end from rows that look like it', () => {
    const text = 'COPY "a;b".t ("x""y", z) FROM stdin;\n\\\\.\n\\\\connect x\n\\N\n\n.\n\\.\nSELECT 1;\n';
    for (const size of [1, 2, 3, 4, 5, 1000]) {
      const found = read(text, size);
      expect(found.rows).toBe(5);
      expect(found.statements).toHaveLength(2);
      expect(found.bytes).toBe(text);
    }
  });

  test('passes on a statement of any length without holding it', () => {
    const value = 'x;'.repeat(2 ** 20);
    const { kinds, bytes } = read(`SELECT '${value}';\nSELECT 1;\n`, 65_536);
    expect(kinds.filter((kind) => kind === 'part').length).toBeGreaterThan(10);
    expect(kinds.filter((kind) => kind === 'statement')).toHaveLength(1);
    expect(bytes).toBe(`SELECT '${value}';\nSELECT 1;\n`);
  });

  test.each([
    ['a command that pg_dumpall does not write', '\\! touch /tmp/x\n'],
    ['a command behind a key', '\\restrict abc `touch /tmp/x`\n'],
    ['a key in backquotes', '\\unrestrict `touch /tmp/x`\n'],
    ['an encoding in backquotes', '\\encoding `touch /tmp/x`\n'],
    ['a connection with more than a name', '\\connect x y host\n'],
    ['a connection string with more than a name', `\\connect -reuse-previous=on "dbname='x' host='evil'"\n`],
    ['a command within a statement', 'SELECT 1 \\g |sh\n;\n'],
    ['a command behind a statement', 'SELECT 1; \\! touch /tmp/x\n'],
    ['a COPY from a program', `COPY public.t FROM PROGRAM 'sh';\n`],
    ['a COPY in small letters', 'copy public.t from stdin;\n\\.\n'],
    ['something behind a COPY on its line', 'COPY public.t (a) FROM stdin; SELECT 1;\n\\.\n'],
    ['an end of rows that is none to all', 'COPY public.t (a) FROM stdin;\n\\.\r\nx\n\\.\n'],
    ['an encoding in which a byte of a letter can be a quote', `SET client_encoding = 'SJIS';\n`],
    ['strings set in another way', 'SET standard_conforming_strings TO off;\n'],
  ])('refuses %s', (_name, text) => {
    for (const size of [1, text.length]) expect(() => read(text, size)).toThrow(refused);
  });

  test.each([
    ['a string', `SELECT 'a`],
    ['a comment', 'SELECT /* a'],
    ['a dollar quote', 'SELECT $a$ $a'],
    ['rows', 'COPY public.t (a) FROM stdin;\n1\n'],
    ['the line that ends rows', 'COPY public.t (a) FROM stdin;\n1\n\\.'],
    ['a command', '\\connect a'],
  ])('tells a dump that ends within %s', (_name, text) => {
    expect(() => read(text)).toThrow(refused);
  });
});

/** The part of a database called `one`, and what is run of it. */
async function bodyOf(text: string, owner = true): Promise<{ body: DatabaseBody; passed: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'pgsilo-dumpall-'));
  try {
    await writeFile(join(folder, 'dump'), text);
    const state = { encoding: 'UTF8', backslashes: false };
    const about = { encoding: 'UTF8', creation: undefined, state, tables: 0, rows: 0, empty: false };
    const database = { ...about, name: 'one', start: 0, end: Buffer.byteLength(text) };
    const body = new DatabaseBody(database, { owner, tablespaces: new Set(['there']) });
    return { body, passed: (await collect(body.read(join(folder, 'dump')))).toString() };
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe('the part of one database', () => {
  test('that says something about another is refused', async () => {
    await expect(bodyOf('ALTER DATABASE other OWNER TO app;\n')).rejects.toThrow(refused);
    await expect(bodyOf('GRANT CONNECT ON DATABASE "One" TO app;\n')).rejects.toThrow(refused);
  });

  test('says it about the new one, by whom it was said, and nothing of it is run before', async () => {
    const text = `COMMENT ON DATABASE one IS 'one';
GRANT CONNECT ON DATABASE one TO PUBLIC;
SET SESSION AUTHORIZATION bob;
GRANT CREATE ON DATABASE one TO app;
RESET SESSION AUTHORIZATION;
ALTER ROLE app IN DATABASE "one" SET work_mem TO '1MB';
`;
    const { body, passed } = await bodyOf(text);
    expect(passed).not.toContain('DATABASE');
    expect(body.settings('a"b').map(({ sql }) => sql)).toEqual([
      'COMMENT ON DATABASE "a""b" IS NULL',
      'GRANT CONNECT, TEMPORARY ON DATABASE "a""b" TO PUBLIC',
      `COMMENT ON DATABASE "a""b" IS 'one';`,
      'GRANT CONNECT ON DATABASE "a""b" TO PUBLIC;',
      'SET LOCAL ROLE "bob"',
      'GRANT CREATE ON DATABASE "a""b" TO app;',
      'RESET ROLE',
      `ALTER ROLE app IN DATABASE "a""b" SET work_mem TO '1MB';`,
    ]);
    const plain = await bodyOf(text, false);
    expect(plain.passed).not.toContain('AUTHORIZATION');
    expect(
      plain.body
        .settings('x')
        .map(({ sql }) => sql)
        .slice(2),
    ).toEqual([`COMMENT ON DATABASE "x" IS 'one';`, 'GRANT CONNECT ON DATABASE "x" TO PUBLIC;']);
  });

  test('names a tablespace only where the server has it', async () => {
    const { body, passed } = await bodyOf(
      "SET default_tablespace = there;\nSET default_tablespace = gone;\nSET default_tablespace = '';\n",
    );
    expect(passed).toBe(
      "SET default_tablespace = there;\nSET default_tablespace = '';\nSET default_tablespace = '';\n",
    );
    expect(body.missingTablespaces).toEqual(['gone']);
  });
});
