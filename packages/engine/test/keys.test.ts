import { describe, expect, it } from 'vitest';
import {
  artifactKeyForm,
  backupId,
  backupIdForm,
  encodeUnit,
  manifestKey,
  newRunId,
  parseManifestKey,
} from '../src/keys.ts';

const long = 'x'.repeat(62);
const hostile = [
  'Acme',
  'acme',
  'a b',
  'a"b',
  "a'b",
  '--file=x',
  'dbname=postgres',
  'postgres://x',
  '../../etc',
  'ñandú',
  'a/b',
  '%41cme',
  '=41cme',
  'con',
  'con.txt',
  'CON',
  'console',
  '.',
  '..',
  '...',
  'a.',
  '_globals',
  'globals',
  '@globals',
  '@',
  '_',
  '-',
  'a\nb',
  'a\u0000b',
  '\u202e',
  '💾',
  '💾💾',
  `${long}a`,
  `${long}b`,
  'É'.repeat(31) + 'a',
  'É'.repeat(31) + 'b',
  'nul',
  'com1',
  'com1.x',
  'lpt9',
];

describe('encodeUnit', () => {
  it('gives every name a key of its own, also on a case-insensitive file system', () => {
    const keys = hostile.map((name) => encodeUnit(name).toLowerCase());
    expect(new Set(keys).size).toBe(hostile.length);
  });

  it.each(hostile)('makes a safe segment of %j', (name) => {
    const key = encodeUnit(name);
    expect(key).toMatch(/^[a-z0-9=_][a-z0-9._=-]*$/);
    expect(key.length).toBeLessThanOrEqual(120);
    expect(key).not.toMatch(/\.$/);
    expect(key).not.toMatch(/^(con|nul|com1|lpt9)(\.|$)/);
  });

  it('keeps plain names readable', () => {
    expect(encodeUnit('vigia_master')).toBe('vigia_master');
    expect(encodeUnit('Acme')).toBe('=41cme');
    expect(encodeUnit('@globals')).toBe('_globals');
    expect(encodeUnit('_globals')).toBe('=5fglobals');
    expect(encodeUnit('con')).toBe('=63on');
  });

  it('is injective over all short strings of an awkward alphabet', () => {
    const alphabet = ['a', 'A', '.', '_', '=', '@', '-', '/'];
    const names = alphabet.flatMap((a) =>
      alphabet.flatMap((b) => [a, a + b, ...alphabet.map((c) => a + b + c)]),
    );
    const distinct = new Set(names);
    expect(new Set([...distinct].map(encodeUnit)).size).toBe(distinct.size);
  });
});

describe('keys of backups', () => {
  it('finds the unit and backup of a manifest and nothing else', () => {
    const key = manifestKey('vigia', 'Acme', backupId('20261121T020000Z-7f3a9c', 2));
    expect(key).toBe('vigia/units/=41cme/20261121T020000Z-7f3a9c.2/manifest.json');
    expect(parseManifestKey('vigia', key)).toEqual({
      unitKey: '=41cme',
      backup: '20261121T020000Z-7f3a9c.2',
    });
    expect(parseManifestKey('vigia', key.replace('manifest.json', 'database.dump'))).toBeUndefined();
    expect(parseManifestKey('other', key)).toBeUndefined();
    expect(parseManifestKey('vigia', 'vigia/units/a/latest/manifest.json')).toBeUndefined();
  });

  it('lets no artifact lead out of its folder', () => {
    expect(artifactKeyForm.test('database.dump.zst')).toBe(true);
    for (const name of ['../x', '/etc/passwd', '.hidden', 'a/b', '', 'A.dump', 'a b'])
      expect(artifactKeyForm.test(name)).toBe(false);
  });
});

describe('ids of runs', () => {
  it('sort as time does, to the millisecond, and differ within one', () => {
    const second = Date.parse('2026-11-21T02:00:00Z');
    const ids = Array.from({ length: 1000 }, (_, millisecond) => newRunId(new Date(second + millisecond)));
    expect(ids.toSorted()).toEqual(ids);
    for (const id of ids) expect(id).toMatch(backupIdForm);
    expect(new Set(Array.from({ length: 20 }, () => newRunId(new Date(second)))).size).toBeGreaterThan(10);
  });
});
