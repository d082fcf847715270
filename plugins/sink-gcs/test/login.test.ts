import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';
import type { PgsiloError } from '@pgsilo/plugin';
import { gatedBody } from '@pgsilo/testkit';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { openLogin } from '../src/login.ts';
import { artifact, mebibyte, useFaultyGcs } from './faulty-gcs.ts';
import { errorOf } from './gcs.ts';

const gcs = useFaultyGcs();
afterEach(() => vi.unstubAllEnvs());

describe('credentials', () => {
  it('that run out in the middle of an upload are fetched anew, and the upload is not begun again', async () => {
    const { body, reached, open } = gatedBody(Buffer.alloc(3 * mebibyte), Buffer.alloc(2 * mebibyte));
    const done = gcs.sink.put(gcs.name, body, artifact, gcs.context);
    await reached;
    gcs.server.tokens.revokeAll();
    open();
    expect((await done).bytes).toBe(5 * mebibyte);
    expect((await gcs.sink.stat(gcs.name, gcs.context)).bytes).toBe(5 * mebibyte);
    expect(gcs.calls.filter((call) => call === 'start')).toHaveLength(1);
  });

  it('that are refused are denied, and no token is in the error', async () => {
    const accepts = gcs.server.tokens.accepts.bind(gcs.server.tokens);
    const seen: string[] = [];
    gcs.server.tokens.accepts = (header) => {
      seen.push(String(header).replace('Bearer ', ''));
      return false;
    };
    try {
      const refused = [gcs.put(), gcs.put(1000), gcs.sink.stat(gcs.name, gcs.context), gcs.keys()].map(
        errorOf,
      );
      for (const error of await Promise.all(refused)) {
        expect(error.code).toBe('sink.denied');
        for (const token of seen) expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(token);
      }
    } finally {
      gcs.server.tokens.accepts = accepts;
    }
  });

  it('are not looked for with http: and without keyFile', async () => {
    const other = gcs.server.open({ keyFile: undefined });
    let header: unknown = 'none was asked';
    gcs.server.decide = ({ headers }) => {
      header = headers.authorization;
      return undefined;
    };
    expect((await errorOf(other.stat(gcs.name, gcs.context))).code).toBe('sink.denied');
    expect(header).toBe(undefined);
    await other.close();
  });

  it('are those of the machine without keyFile', async () => {
    vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', gcs.server.keyFile);
    const { authorization } = await openLogin(undefined).headers(gcs.context.signal);
    expect(gcs.server.tokens.accepts(authorization)).toBe(true);
  });

  it('are fetched once for many requests, and anew when they are refused', async () => {
    const before = gcs.server.tokens.issued;
    await gcs.put(1000);
    await gcs.mustBeWhole(1000);
    expect(gcs.server.tokens.issued - before).toBe(1);
    gcs.server.tokens.revokeAll();
    await gcs.mustBeWhole(1000);
    expect(gcs.server.tokens.issued - before).toBe(2);
  });
});

describe('keyFile', () => {
  const withFile = async (content: string): Promise<PgsiloError> => {
    const folder = await gcs.context.scratch();
    await writeFile(join(folder, 'key.json'), content);
    const sink = gcs.server.open({ keyFile: join(folder, 'key.json') });
    const error = await errorOf(sink.stat(gcs.name, gcs.context));
    await sink.close();
    return error;
  };

  it('that cannot be read is a mistake in the pipeline file', async () => {
    const sink = gcs.server.open({ keyFile: '/nowhere/key.json' });
    const error = await errorOf(sink.stat(gcs.name, gcs.context));
    expect([error.code, error.option]).toEqual(['config.invalid', 'keyFile']);
    await sink.close();
  });

  it.each([
    ['is no JSON, and its text is not told', 'a-private-key'],
    ['is of an unknown type', JSON.stringify({ type: 'gdch_service_account', private_key: 'a-private-key' })],
  ])('that %s is a mistake in the pipeline file', async (_, content) => {
    const error = await withFile(content);
    expect([error.code, error.option]).toEqual(['config.invalid', 'keyFile']);
    expect(inspect(error, { depth: 9 })).not.toContain('a-private-key');
  });

  it('whose key is broken is denied, and the key is not told', async () => {
    const error = await withFile(
      JSON.stringify({
        type: 'service_account',
        client_email: 'backup@acme-prod.iam.gserviceaccount.com',
        private_key: '-----BEGIN PRIVATE KEY-----\nTm90IGEga2V5IGF0IGFsbA==\n-----END PRIVATE KEY-----\n',
      }),
    );
    expect(error.code).toBe('sink.denied');
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('Tm90IGEga2V5IGF0IGFsbA');
  });
});
