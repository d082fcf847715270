import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { redact, Secret } from '../src/secret.ts';

describe('Secret', () => {
  it('prints nowhere, and reveals when asked', () => {
    const secret = new Secret('tr0ub4dor&3');
    for (const printed of [
      String(secret),
      `${secret}`,
      JSON.stringify({ secret }),
      inspect({ secret }),
      inspect(secret),
    ]) {
      expect(printed).toContain('[secret]');
      expect(printed).not.toContain('tr0ub');
    }
    expect(secret.reveal()).toBe('tr0ub4dor&3');
  });
});

describe('redact', () => {
  it('blots a value out wherever it stands, also in a URL', () => {
    void new Secret('s3cr et/word-of-some-length');
    expect(redact('x s3cr et/word-of-some-length y')).toBe('x [secret] y');
    expect(redact('postgres://u:s3cr%20et%2Fword-of-some-length@h')).toBe('postgres://u:[secret]@h');
  });

  it('takes a short word only where it is a word of its own, so that output stays readable', () => {
    void new Secret('hunter2');
    expect(redact('postgres://u:hunter2@h and hunter2000')).toBe('postgres://u:[secret]@h and hunter2000');
  });

  it('does not spoil messages for passwords that are no secret', () => {
    void new Secret('postgres');
    expect(redact('/usr/lib/postgresql as postgres')).toBe('/usr/lib/postgresql as postgres');
  });
});
