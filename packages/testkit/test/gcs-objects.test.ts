import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { bucket, startGcsClient } from './gcs-client.ts';
import type { GcsClient } from './gcs-client.ts';

let client: GcsClient;
beforeAll(async () => {
  client = await startGcsClient();
});
afterAll(() => client.stop());
beforeEach(() => {
  client.server.service.buckets.clear();
  client.server.service.createBucket(bucket);
  client.server.service.now = () => new Date();
  client.server.decide = () => undefined;
});

const objects = `/storage/v1/b/${bucket}/o`;
const at = (name: string, query = ''): string => `${objects}/${encodeURIComponent(name)}${query}`;
const remove = (name: string, query = '') => client.ask(at(name, query), { method: 'DELETE' });
const reasonOf = ({ status, json }: Awaited<ReturnType<GcsClient['ask']>>): unknown[] => [
  status,
  json.error?.errors[0]?.reason,
];

describe('who may ask', () => {
  it('is whoever has a token', async () => {
    const none = await client.ask(objects, { token: '' });
    // As the documentation has it.
    expect(none.json).toEqual({
      error: {
        code: 401,
        message: 'Login Required',
        errors: [
          {
            domain: 'global',
            reason: 'required',
            message: 'Login Required',
            locationType: 'header',
            location: 'Authorization',
          },
        ],
      },
    });
    expect(none.headers.get('www-authenticate')).toMatch(/^Bearer /);
    expect(reasonOf(await client.ask(objects, { token: 'wrong' }))).toEqual([401, 'authError']);
    expect((await client.ask(objects, { token: client.server.tokens.issue() })).status).toBe(200);
  });

  it('says who pays where the bucket wants to be told', async () => {
    client.server.service.createBucket('paid', { requesterPays: true });
    expect(reasonOf(await client.ask('/storage/v1/b/paid/o'))).toEqual([400, 'required']);
    expect((await client.ask('/storage/v1/b/paid/o?userProject=me')).status).toBe(200);
  });
});

describe('what is not there', () => {
  it('is a bucket, and nothing is listed of it or put into it', async () => {
    for (const path of ['/storage/v1/b/none', '/storage/v1/b/none/o', '/storage/v1/b/none/o/x'])
      expect(reasonOf(await client.ask(path))).toEqual([404, 'notFound']);
    const path = '/upload/storage/v1/b/none/o?uploadType=media&name=x';
    const { status, json } = await client.ask(path, { method: 'POST', body: 'x' });
    expect([status, json.error?.message]).toEqual([404, 'The specified bucket does not exist.']);
  });

  it.each([
    ['PUT', objects],
    ['PUT', `${objects}/x`],
    ['POST', `${objects}/x/copyTo/b/${bucket}/o/y`],
    ['GET', `/upload${objects}?uploadType=media&name=x`],
    ['PUT', `/upload${objects}?uploadType=media&name=x`],
    ['DELETE', `/storage/v1/b/${bucket}`],
    ['GET', '/storage/v1/b'],
    ['GET', `/storage/v2/b/${bucket}`],
  ])('is a call that this server does not know: %s %s', async (method, path) => {
    await client.insert('x', 'x');
    expect(reasonOf(await client.ask(path, { method }))).toEqual([404, 'notFound']);
    expect((await client.ask(at('x', '?alt=media'))).text).toBe('x');
  });

  it('is an object, or a generation of it', async () => {
    await client.insert('there', 'x');
    for (const path of [at('none'), at('none', '?alt=media'), at('there', '?generation=1')])
      expect(reasonOf(await client.ask(path))).toEqual([404, 'notFound']);
    expect(reasonOf(await remove('none'))).toEqual([404, 'notFound']);
    expect(reasonOf(await remove('there', '?generation=1'))).toEqual([404, 'notFound']);
    expect((await client.ask(at('there'))).status).toBe(200);
  });
});

describe('reading', () => {
  it.each([
    ['bytes=0-0', 206, '0', 'bytes 0-0/10'],
    ['bytes=3-5', 206, '345', 'bytes 3-5/10'],
    ['bytes=7-', 206, '789', 'bytes 7-9/10'],
    ['bytes=-2', 206, '89', 'bytes 8-9/10'],
    ['bytes=8-99', 206, '89', 'bytes 8-9/10'],
    ['bytes=5-3', 200, '0123456789', null],
    ['lines=1-2', 200, '0123456789', null],
  ])('gives of %s a %d with %s', async (range, status, text, contentRange) => {
    await client.insert('r', '0123456789');
    const answer = await client.ask(at('r', '?alt=media'), { headers: { range } });
    expect([answer.status, answer.text]).toEqual([status, text]);
    expect(answer.headers.get('content-range')).toBe(contentRange);
    expect(answer.headers.get('x-goog-stored-content-length')).toBe('10');
    // Of the whole object, also with a range.
    expect(answer.headers.get('x-goog-hash')).toMatch(/^crc32c=\S+,md5=\S+$/);
  });

  it('refuses a range that begins behind the end', async () => {
    await client.insert('r', '0123456789');
    const answer = await client.ask(at('r', '?alt=media'), { headers: { range: 'bytes=10-' } });
    expect(reasonOf(answer)).toEqual([416, 'requestedRangeNotSatisfiable']);
  });
});

describe('preconditions', () => {
  it('are refused with 412 by an upload, a read and a removal when they do not hold', async () => {
    const { json } = await client.insert('p', '1', '&ifGenerationMatch=0');
    const generation = String(json.generation);
    expect(reasonOf(await client.insert('p', '2', '&ifGenerationMatch=0'))).toEqual([412, 'conditionNotMet']);
    expect((await client.insert('p', '2', '&ifGenerationMatch=1')).status).toBe(412);
    expect((await client.insert('p', '2', '&ifMetagenerationMatch=7')).status).toBe(412);
    expect((await client.ask(at('p', '?ifGenerationMatch=1'))).status).toBe(412);
    expect((await remove('p', '?ifGenerationMatch=1')).status).toBe(412);
    expect((await client.ask(at('p', '?alt=media'))).text).toBe('1');
    expect((await client.insert('p', '2', `&ifGenerationMatch=${generation}`)).status).toBe(200);
  });

  it('that ask for a change are answered with 304 by a read, without a body, and with 412 by others', async () => {
    const { generation } = (await client.insert('p', '1')).json;
    for (const query of [
      `ifGenerationNotMatch=${generation}`,
      'ifMetagenerationNotMatch=1',
      `alt=media&ifGenerationNotMatch=${generation}`,
    ]) {
      const { status, text } = await client.ask(at('p', `?${query}`));
      expect([status, text]).toEqual([304, '']);
    }
    expect((await client.ask(at('p', '?ifGenerationNotMatch=1'))).status).toBe(200);
    expect((await client.insert('p', '2', `&ifGenerationNotMatch=${generation}`)).status).toBe(412);
    expect((await remove('p', `?ifGenerationNotMatch=${generation}`)).status).toBe(412);
    // Of what is not there, nothing can be other.
    expect((await client.insert('none', '2', '&ifGenerationNotMatch=1')).status).toBe(412);
    expect((await client.ask(at('p', '?alt=media'))).text).toBe('1');
  });

  it('are whole numbers', async () => {
    expect(reasonOf(await client.insert('p', '1', '&ifGenerationMatch=none'))).toEqual([400, 'invalid']);
  });

  it('let one of two writers win', async () => {
    const both = await Promise.all(
      ['1', '2'].map((text) => client.insert('p', text, '&ifGenerationMatch=0')),
    );
    expect(both.map(({ status }) => status).toSorted()).toEqual([200, 412]);
  });
});

describe('faults', () => {
  it.each([
    ['return-503', 503],
    ['return-429', 429],
  ])('%s is asked for by a header', async (wanted, status) => {
    const headers = { 'x-goog-emulator-instructions': wanted };
    expect((await client.insert('f', 'x', '', headers)).status).toBe(status);
    expect((await client.ask(at('f'))).status).toBe(404);
  });

  it('reset-connection does nothing, lose-answer does everything', async () => {
    const wanted = (name: string) => ({ 'x-goog-emulator-instructions': name });
    await expect(client.insert('f', 'x', '', wanted('reset-connection'))).rejects.toThrow('fetch failed');
    expect((await client.ask(at('f'))).status).toBe(404);
    await expect(client.insert('f', 'x', '', wanted('lose-answer'))).rejects.toThrow('fetch failed');
    expect((await client.ask(at('f'))).status).toBe(200);
  });
});

describe('a new bucket', () => {
  const create = (query: string, body: string) =>
    client.ask(`/storage/v1/b${query}`, { method: 'POST', body });

  it('is there when it was made, and is made once', async () => {
    const made = await create('?project=p', '{"name":"another","versioning":{"enabled":true}}');
    expect([made.status, made.json.name]).toEqual([200, 'another']);
    expect((await client.ask('/storage/v1/b/another?fields=versioning')).text).toBe(
      '{"versioning":{"enabled":true}}',
    );
    expect(reasonOf(await create('?project=p', '{"name":"another"}'))).toEqual([409, 'conflict']);
  });

  it.each([
    ['a project', '', '{"name":"another"}', 'required'],
    ['a name', '?project=p', '{}', 'required'],
    ['a name that can be one', '?project=p', '{"name":"Another"}', 'invalid'],
    ['JSON', '?project=p', '{', 'parseError'],
  ])('is refused without %s', async (_, query, body, reason) => {
    expect(reasonOf(await create(query, body))).toEqual([400, reason]);
    expect((await client.ask('/storage/v1/b/another')).status).toBe(404);
  });
});

describe('an etag in a header is a condition too', () => {
  it('of reading, of changing and of removing', async () => {
    const { headers } = await client.insert('x', 'one').then(() => client.ask(at('x', '?alt=media')));
    const etag = headers.get('etag')!;
    const none = { headers: { 'if-none-match': etag } };
    expect((await client.ask(at('x'), none)).status).toBe(304);
    expect((await client.ask(at('x', '?alt=media'), { headers: { 'if-none-match': '*' } })).status).toBe(304);
    expect((await client.ask(at('x'), { headers: { 'if-none-match': '"other"' } })).status).toBe(200);
    expect((await client.ask(at('x'), { headers: { 'if-match': `"other", "${etag}"` } })).status).toBe(200);
    const other = { headers: { 'if-match': '"other"' } };
    for (const [method, body] of [
      ['GET', undefined],
      ['PATCH', '{}'],
      ['DELETE', undefined],
    ] as const) {
      const answer = await client.ask(at('x'), { method, ...other, ...(body === undefined ? {} : { body }) });
      expect(reasonOf(answer), `${method}`).toEqual([412, 'conditionNotMet']);
    }
    expect((await client.ask(at('x'), { method: 'DELETE', ...none })).status).toBe(412);
    expect((await client.ask(at('x'), { method: 'DELETE', headers: { 'if-match': etag } })).status).toBe(204);
  });
});

describe('what is stored compressed', () => {
  const plain = 'rows and rows and rows';

  it('is sent so to who takes it, and decompressed to others, whatever range they ask for', async () => {
    await client.insert('x', gzipSync(plain), '&contentEncoding=gzip');
    const identity = { 'accept-encoding': 'identity' };
    const sent = await client.ask(at('x', '?alt=media'), { headers: { ...identity, range: 'bytes=0-3' } });
    expect([sent.status, sent.text, sent.headers.get('content-encoding')]).toEqual([200, plain, null]);
    expect(sent.headers.get('x-goog-stored-content-encoding')).toBe('gzip');
    const taken = await client.ask(at('x', '?alt=media'), { headers: { 'accept-encoding': 'gzip' } });
    expect([taken.text, taken.headers.get('content-encoding')]).toEqual([plain, 'gzip']);
  });

  it('is left alone where it says so', async () => {
    await client.insert('x', gzipSync(plain), '&contentEncoding=gzip');
    await client.ask(at('x'), { method: 'PATCH', body: '{"cacheControl":"no-transform"}' });
    const sent = await client.ask(at('x', '?alt=media'), { headers: { 'accept-encoding': 'identity' } });
    expect(sent.headers.get('content-encoding')).toBe('gzip');
  });
});

describe("an object's own time", () => {
  it('is a time, and moves only on', async () => {
    const patch = (customTime: string | null) =>
      client.ask(at('x'), { method: 'PATCH', body: JSON.stringify({ customTime }) });
    await client.insert('x', 'one');
    expect(reasonOf(await patch('yesterday'))).toEqual([400, 'invalid']);
    expect((await patch('2026-01-01T00:00:00Z')).text).toContain('"customTime":"2026-01-01T00:00:00Z"');
    expect(reasonOf(await patch('2025-12-31T00:00:00Z'))).toEqual([400, 'invalid']);
    expect(reasonOf(await patch(null))).toEqual([400, 'invalid']);
    expect((await patch('2026-01-02T00:00:00Z')).status).toBe(200);
  });
});
