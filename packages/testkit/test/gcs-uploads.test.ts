import { createHash } from 'node:crypto';
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

const contentOf = async (name: string): Promise<string> =>
  (await client.ask(`/storage/v1/b/${bucket}/o/${encodeURIComponent(name)}?alt=media`)).text;
const statusOf = async (name: string): Promise<number> =>
  (await client.ask(`/storage/v1/b/${bucket}/o/${encodeURIComponent(name)}`)).status;
const md5 = (text: string): string => createHash('md5').update(text).digest('base64');
/** Known from RFC 3720: CRC32C of "123456789". */
const digits = { text: '123456789', crc32c: '4waSgw==' };

describe('an upload in one request', () => {
  it('is described in the answer', async () => {
    const { status, json } = await client.insert('a/ü', digits.text, '', { 'content-type': 'text/plain' });
    expect(status).toBe(200);
    expect(json).toMatchObject({
      kind: 'storage#object',
      bucket,
      name: 'a/ü',
      size: '9',
      crc32c: digits.crc32c,
      md5Hash: md5(digits.text),
      contentType: 'text/plain',
      storageClass: 'STANDARD',
      metageneration: '1',
    });
    expect(BigInt(json.generation)).toBeGreaterThan(0n);
    expect(await contentOf('a/ü')).toBe(digits.text);
  });

  const multipart = (description: string, content: string, type = 'multipart/related; boundary=b1') =>
    client.ask(`/upload/storage/v1/b/${bucket}/o?uploadType=multipart`, {
      method: 'POST',
      headers: { 'content-type': type },
      body: `--b1\r\nContent-Type: application/json\r\n\r\n${description}\r\n--b1\r\nContent-Type: text/plain\r\n\r\n${content}\r\n--b1--`,
    });

  it('can come with its description, and its content is not changed by what stands around it', async () => {
    const content = '\r\n--b\r\n--b2--\r\nend\r\n';
    const { status, json } = await multipart('{"name":"m","metadata":{"a":"b"}}', content);
    expect([status, json.metadata, json.contentType]).toEqual([200, { a: 'b' }, 'text/plain']);
    expect(await contentOf('m')).toBe(content);
    expect((await multipart('{"name":"empty"}', '')).json.size).toBe('0');
  });

  it("can come with lines that end in LF, as those of Google's command line do", async () => {
    const body = '--b1\nContent-Type: application/json\n\n{"name":"lf"}\n--b1\n\nx\r\n--b1--';
    const path = `/upload/storage/v1/b/${bucket}/o?uploadType=multipart`;
    const headers = { 'content-type': "multipart/related; boundary='b1'" };
    expect((await client.ask(path, { method: 'POST', headers, body })).status).toBe(200);
    expect(await contentOf('lf')).toBe('x\r');
  });

  it.each([
    ['a description that is no JSON', '{', undefined],
    ['a description without a name', '{}', undefined],
    ['a body without its boundary', '{"name":"x"}', 'multipart/related; boundary=b2'],
    ['a wrong CRC32C in the description', '{"name":"x","crc32c":"AAAAAA=="}', undefined],
    ['a wrong MD5 in the description', `{"name":"x","md5Hash":"${md5('other')}"}`, undefined],
    ['a storage class that there is not', '{"name":"x","storageClass":"LUKEWARM"}', undefined],
    ['a malformed key name', '{"name":"x","kmsKeyName":"main"}', undefined],
    ['a name of more than 1024 bytes', `{"name":"${'ü'.repeat(513)}"}`, undefined],
    ['a name with a line feed', '{"name":"a\\nb"}', undefined],
    ['a name that is a dot', '{"name":"."}', undefined],
  ])('is refused with %s', async (_, description, type) => {
    expect((await multipart(description, 'x', type)).status).toBe(400);
    expect(client.server.service.bucket(bucket).objects.size).toBe(0);
  });

  it.each([
    ['x-goog-hash', 'crc32c=AAAAAA=='],
    ['x-goog-hash', `md5=${md5('other')}`],
    ['content-md5', md5('other')],
  ])('is refused with a wrong checksum in %s: %s', async (name, value) => {
    const { status, json } = await client.insert('x', digits.text, '', { [name]: value });
    expect([status, json.error?.errors[0]?.reason]).toEqual([400, 'invalid']);
    expect(await statusOf('x')).toBe(404);
  });

  it('is refused with a type that is not multipart/related', async () => {
    const { status, json } = await multipart('{"name":"x"}', 'x', 'text/plain');
    expect([status, json.error?.message]).toEqual([400, expect.stringContaining('Content-Type')]);
  });

  it('is refused with an unknown uploadType, and without a name', async () => {
    const path = `/upload/storage/v1/b/${bucket}/o`;
    const { status, json } = await client.ask(`${path}?uploadType=quick&name=x`, { method: 'POST' });
    expect([status, json.error?.message]).toEqual([400, expect.stringContaining("'quick' of uploadType")]);
    expect((await client.ask(`${path}?uploadType=media`, { method: 'POST' })).status).toBe(400);
  });
});
