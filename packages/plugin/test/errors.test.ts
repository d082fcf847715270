import { cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as own from '../src/index.ts';

let folder: string;
/** What an outside plugin has that was installed with its own copy of the package. */
let copy: typeof own;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pgsilo-plugin-copy-'));
  await cp(join(import.meta.dirname, '../src'), join(folder, 'src'), { recursive: true });
  await symlink(join(import.meta.dirname, '../node_modules'), join(folder, 'node_modules'));
  copy = (await import(
    /* @vite-ignore */ pathToFileURL(join(folder, 'src/index.ts')).href
  )) as unknown as typeof own;
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('an error of another copy of the package', () => {
  test('is one of ours: code, hint and row are kept', () => {
    const error = new copy.PgsiloError('sink.denied', 'no', { hint: 'Log in.' });
    expect(error).not.toBeInstanceOf(own.PgsiloError);
    expect(own.isPgsiloError(error)).toBe(true);
    expect(own.toPgsiloError(error)).toBe(error);
    expect(own.toPgsiloError(error)).toMatchObject({ retryable: false, exit: 3 });
  });

  test('is what a signal was aborted with, in both directions', () => {
    const reason = new own.PgsiloError('limit.timeout', 'too long');
    expect(copy.abortReason(AbortSignal.abort(reason))).toBe(reason);
    const theirs = new copy.PgsiloError('limit.timeout', 'too long');
    expect(own.abortReason(AbortSignal.abort(theirs))).toBe(theirs);
  });

  test('with a code that this copy does not know gets a code that it knows, and keeps its words', () => {
    const later = new copy.PgsiloError('sink.on-fire' as own.ErrorCode, 'it burns', { hint: 'Run.' });
    expect(own.isPgsiloError(later)).toBe(false);
    expect(own.toPgsiloError(later, 'sink.failed')).toMatchObject({
      code: 'sink.failed',
      message: 'it burns',
      hint: 'Run.',
      cause: later,
    });
  });

  test('has secrets that are told as secrets', () => {
    const secret = new copy.Secret('not to be seen');
    expect(secret).not.toBeInstanceOf(own.Secret);
    expect(own.isSecret(secret)).toBe(true);
    expect(own.redact('it is not to be seen')).toBe('it is [secret]');
    for (const other of ['not to be seen', undefined, null, { reveal: () => '' }])
      expect(own.isSecret(other)).toBe(false);
  });
});

describe('what is no error of pgsilo', () => {
  test.each([undefined, null, 'text', 7, new Error('x'), { code: 'sink.denied', message: 'x' }])(
    '%s gets the fallback',
    (thrown) => {
      expect(own.isPgsiloError(thrown)).toBe(false);
      expect(own.toPgsiloError(thrown, 'sink.failed')).toMatchObject({ code: 'sink.failed', cause: thrown });
    },
  );

  test('is called AbortError by libraries whose connection broke: that proves no abort', () => {
    class AbortError extends Error {
      override readonly name = 'AbortError';
    }
    const broke = new AbortError('The operation was aborted.');
    expect(own.toPgsiloError(broke, 'sink.failed').code).toBe('sink.failed');
    expect(own.toPgsiloError(new AbortError('x', { cause: new Error('reset') })).code).toBe('internal');
  });

  test('may be how the platform tells of an abort: then it is what the signal was aborted with', async () => {
    const thrownBy = (signal: AbortSignal): Promise<unknown> =>
      sleep(60_000, undefined, { signal }).catch((error: unknown) => error);
    const reason = new own.PgsiloError('limit.timeout', 'too long');
    expect(own.toPgsiloError(await thrownBy(AbortSignal.abort(reason)))).toBe(reason);
    expect(own.toPgsiloError(await thrownBy(AbortSignal.abort())).code).toBe('aborted');
    expect(own.toPgsiloError(AbortSignal.abort().reason, 'sink.failed').code).toBe('aborted');
  });
});
