import { inspect } from 'node:util';
import { redact } from '@pgsilo/plugin';
import { describe, expect, it } from 'vitest';
import { targetServer } from '../src/target-server.ts';

describe('--to-server', () => {
  it.each([
    'postgres://u:geheim@h/db',
    'postgresql://:geheim@h',
    'postgres://h/db?password=geheim',
    'postgres://h/db?sslmode=require&pass%77ord=geheim',
    'postgres://h/db?sslpassword=geheim',
    'host=h password=geheim',
    "host=h PASSWORD = 'ge heim'",
  ])('refuses a password on the command line: %s', (url) => {
    const refused = (() => {
      try {
        return targetServer(url, {});
      } catch (error) {
        return error;
      }
    })();
    expect(refused).toMatchObject({ code: 'usage.invalid', hint: expect.stringContaining('env:NAME') });
    expect(inspect(refused)).not.toContain('geheim');
  });

  it.each([
    'postgres://u@h:5433/db',
    'host=h user=u',
    'postgres://h/db?host=/run:1',
    'service=prod',
    'postgres://u:@h/',
  ])('takes one without: %s', (url) => expect(targetServer(url, {})).toBe(url));

  it('reads a variable, and makes it and its password unprintable', () => {
    const url = 'postgres://u:s%40fe-word@h/db';
    expect(targetServer('env:NEW', { NEW: url })).toBe(url);
    expect(redact(`connect ${url} as s@fe-word or s%40fe-word`)).not.toMatch(/fe-word/);
  });

  it('refuses a variable that is not set, and takes PGSILO_TO_SERVER when nothing is said', () => {
    expect(() => targetServer('env:NEW', {})).toThrow(/"NEW", which is not set/);
    expect(() => targetServer('env:NEW', { NEW: '' })).toThrow(/not set/);
    expect(targetServer(undefined, { PGSILO_TO_SERVER: 'host=standing' })).toBe('host=standing');
    expect(targetServer('host=said', { PGSILO_TO_SERVER: 'host=standing' })).toBe('host=said');
    expect(targetServer(undefined, {})).toBeUndefined();
  });
});
