import { PgsiloError } from '@pgsilo/plugin';
import { describe, expect, test } from 'vitest';
import pc from 'picocolors';
import { errorText } from '../src/error-text.ts';

const shown = (message: string, cause: Error): string =>
  errorText(new PgsiloError('sink.failed', message, { cause, hint: 'Look.' }), pc.createColors(false), false);

describe('an error for people', () => {
  test('tells of its cause only what the message does not', () => {
    const said = 'cannot store a: The lease is gone. (LeaseLost)';
    expect(shown(said, new Error('The lease is gone.'))).not.toContain('cause');
    const text = shown(said, new Error('The lease is gone.\nRequestId:12\nTime:today'));
    expect(text.match(/The lease is gone/g)).toHaveLength(1);
    expect(text).toContain('cause  RequestId:12\n       Time:today');
  });

  test('tells all of a cause that says something else, and its causes', () => {
    const inner = new Error('connect ECONNREFUSED');
    const text = shown('cannot store a', new Error('the proxy is away', { cause: inner }));
    expect(text).toContain('cause  the proxy is away\n       connect ECONNREFUSED');
  });
});
