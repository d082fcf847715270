import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HeadObjectCommand } from '@aws-sdk/client-s3';
import { randomBody } from '@pgsilo/testkit';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { artifact, large, useBadNetwork } from './bad-network.ts';
import { errorOf } from './errors-of.ts';
import { gatewayHere } from './gateway.ts';
import { isPart, isWhole } from './meddler.ts';

const installed = await gatewayHere();

describe.skipIf('unavailable' in installed)('requests', () => {
  const at = useBadNetwork(installed);
  let seen: { readonly request: IncomingMessage; readonly headers: IncomingHttpHeaders }[];
  beforeEach(() => {
    seen = [];
    at.meddler.decide = (request) => {
      seen.push({ request, headers: request.headers });
      return 'pass';
    };
  });
  afterEach(() => vi.unstubAllEnvs());

  const checksums = () =>
    seen
      .filter(({ request }) => isPart(request) || isWhole(request))
      .map(
        ({ headers }) =>
          headers['x-amz-checksum-crc32'] !== undefined ||
          headers['x-amz-trailer'] === 'x-amz-checksum-crc32',
      );

  it('are one for a small object, which has its tags from the beginning', async () => {
    const sink = await at.open({ provider: 'aws', pathStyle: true, tags: { purpose: 'backup' } });
    expect(await sink.put(at.key, randomBody(5 * 2 ** 20), artifact, at.context)).toEqual({
      bytes: 5 * 2 ** 20,
    });
    expect(seen.map(({ request, headers }) => [request.method, headers['x-amz-tagging']])).toEqual([
      ['PUT', 'purpose=backup'],
    ]);
    expect(seen[0]!.headers['if-none-match']).toBe('*');
  });

  it.each([
    ['AES256', {}],
    ['aws:kms', { kmsKey: 'alias/backups' }],
    ['aws:kms:dsse', {}],
  ] as const)('ask for the encryption %s, of large objects too', async (encryption, more) => {
    const sink = await at.open({ encryption, ...more });
    at.meddler.decide = (request) => {
      seen.push({ request, headers: request.headers });
      return { status: 400, code: 'MalformedXML' };
    };
    for (const bytes of [1000, large])
      await errorOf(sink.put(at.key, randomBody(bytes), artifact, at.context));
    const asked = seen.filter(({ request }) => isWhole(request) || request.url!.includes('uploads'));
    expect(asked.map(({ headers }) => headers['x-amz-server-side-encryption'])).toEqual([
      encryption,
      encryption,
    ]);
    const key = 'kmsKey' in more ? more.kmsKey : undefined;
    expect(asked[1]!.headers['x-amz-server-side-encryption-aws-kms-key-id']).toBe(key);
  });

  it('carry no checksum to a custom endpoint, unless the object is under a lock', async () => {
    for (const bytes of [1000, large])
      await at.sink.put(`${at.key}-${bytes}`, randomBody(bytes), artifact, at.context);
    expect(checksums()).toEqual([false, false, false, false]);
    seen = [];
    const locked = await at.open({ bucket: 'locked', objectLock: { mode: 'COMPLIANCE', days: 3 } });
    const began = Date.now();
    for (const bytes of [1000, large]) {
      const key = `${at.key}-${bytes}`;
      await locked.put(key, randomBody(bytes), artifact, at.context);
      const found = await at.gateway.client.send(new HeadObjectCommand({ Bucket: 'locked', Key: key }));
      expect(found.ObjectLockMode).toBe('COMPLIANCE');
      expect(found.ObjectLockRetainUntilDate!.getTime()).toBeGreaterThan(began + 3 * 86_400_000 - 5_000);
    }
    expect(checksums()).toEqual([true, true, true, true]);
  });

  it('are signed as the profile says that is named', async () => {
    const { accessKeyId, secretAccessKey } = at.gateway;
    const file = join(await at.context.scratch(), 'credentials');
    const login = `aws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\n`;
    await writeFile(
      file,
      `[default]\naws_access_key_id = nobody\naws_secret_access_key = none\n[backup]\n${login}`,
    );
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', file);
    vi.stubEnv('AWS_CONFIG_FILE', '/nowhere');
    const sink = await at.open({
      accessKeyId: undefined,
      secretAccessKey: undefined,
      profile: 'backup',
    });
    expect(await sink.put(at.key, randomBody(1000), artifact, at.context)).toEqual({ bytes: 1000 });
  });
});
