import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { bucket, chunk, startGcsClient } from './gcs-client.ts';
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
/** Known from RFC 3720: CRC32C of "123456789". */
const digits = { text: '123456789', crc32c: '4waSgw==' };

describe('a session', () => {
  const bytes = (count: number, fill = 7): Buffer => Buffer.alloc(count, fill);

  it('takes chunks, says how far it is, and makes the object with the last of them', async () => {
    const uri = await client.start('s', '', { metadata: { a: 'b' } });
    expect((await client.put(uri, 'bytes */*')).headers.get('range')).toBe(null);
    const first = await client.put(uri, `bytes 0-${chunk - 1}/*`, bytes(chunk));
    expect([first.status, first.headers.get('range')]).toEqual([308, `bytes=0-${chunk - 1}`]);
    expect(await statusOf('s')).toBe(404);
    const asked = await client.put(uri, 'bytes */*');
    expect([asked.status, asked.headers.get('range')]).toEqual([308, `bytes=0-${chunk - 1}`]);
    const last = await client.put(uri, `bytes ${chunk}-${chunk + 9}/${chunk + 10}`, bytes(10));
    expect([last.status, last.json.size, last.json.metadata]).toEqual([200, String(chunk + 10), { a: 'b' }]);
    expect((await client.put(uri, 'bytes */*')).json.generation).toBe(last.json.generation);
  });

  it('begins at the path of the discovery document, too', async () => {
    const path = `/resumable/upload/storage/v1/b/${bucket}/o?uploadType=resumable&name=r`;
    const uri = (await client.ask(path, { method: 'POST' })).headers.get('location');
    expect((await client.put(uri ?? '', 'bytes 0-8/9', Buffer.from(digits.text))).status).toBe(200);
  });

  it('takes all in one request of unknown length, and none at all', async () => {
    const uri = await client.start('one');
    expect((await client.put(uri, 'bytes 0-*/*', Buffer.from('all'))).json.size).toBe('3');
    const empty = await client.start('none');
    expect((await client.put(empty, 'bytes */0')).json.size).toBe('0');
  });

  it('is finished by a question that tells the size, once all bytes are there', async () => {
    const uri = await client.start('q');
    await client.put(uri, `bytes 0-${chunk - 1}/*`, bytes(chunk));
    for (const size of [chunk + 1, chunk - 1]) {
      const { status, headers } = await client.put(uri, `bytes */${size}`);
      expect([status, headers.get('range')]).toEqual([308, `bytes=0-${chunk - 1}`]);
    }
    // No bytes are no range.
    expect((await client.put(uri, `bytes ${chunk}-${chunk - 1}/${chunk}`)).status).toBe(400);
    expect((await client.put(uri, `bytes */${chunk}`)).status).toBe(200);
  });

  it('takes bytes that it has already, and keeps the first', async () => {
    const uri = await client.start('again');
    await client.put(uri, `bytes 0-${chunk - 1}/*`, bytes(chunk, 65));
    await client.put(uri, `bytes 0-${2 * chunk - 1}/*`, bytes(2 * chunk, 66));
    expect((await client.put(uri, `bytes */${2 * chunk}`)).status).toBe(200);
    expect(await contentOf('again')).toBe('A'.repeat(chunk) + 'B'.repeat(chunk));
  });

  it('keeps whole multiples of 256 KiB of a chunk that breaks off', async () => {
    const uri = await client.start('broken');
    client.server.decide = ({ call }) => (call === 'chunk' ? { resetAfter: 2 * chunk + 5 } : undefined);
    await expect(client.put(uri, `bytes 0-${4 * chunk - 1}/*`, bytes(4 * chunk))).rejects.toThrow(
      'fetch failed',
    );
    client.server.decide = () => undefined;
    expect((await client.put(uri, 'bytes */*')).headers.get('range')).toBe(`bytes=0-${2 * chunk - 1}`);
  });

  it.each([
    ['a chunk of less than 256 KiB that is not the last', 'bytes 0-99/*', 100],
    ['a chunk that is no multiple of 256 KiB and not the last', `bytes 0-${chunk}/*`, chunk + 1],
    ['such a chunk where the size is known', `bytes 0-${chunk}/${3 * chunk}`, chunk + 1],
    ['a chunk behind a gap', `bytes ${chunk}-${2 * chunk - 1}/*`, chunk],
    ['a range of another length than the body', `bytes 0-${2 * chunk - 1}/*`, chunk],
    ['a range that ends behind the size', `bytes 0-${2 * chunk - 1}/${chunk}`, 2 * chunk],
    ['a malformed range', 'bytes=0-99/100', 100],
    ['a question with a body', 'bytes */*', 10],
  ])('refuses %s', async (_, range, size) => {
    const uri = await client.start('refused');
    const { status, json } = await client.put(uri, range, bytes(size));
    expect([status, json.error?.errors[0]?.reason]).toEqual([400, 'invalid']);
    expect((await client.put(uri, 'bytes */*')).headers.get('range')).toBe(null);
  });

  it('refuses a size other than the one that it began with, and one below what it has', async () => {
    const uri = await client.start('declared', '', {}, { 'x-upload-content-length': '10' });
    expect((await client.put(uri, 'bytes 0-4/5', bytes(5))).status).toBe(400);
    const other = await client.start('smaller');
    await client.put(other, `bytes 0-${chunk - 1}/*`, bytes(chunk));
    expect((await client.put(other, 'bytes 0-4/5', bytes(5))).status).toBe(400);
    expect(client.server.service.bucket(bucket).objects.size).toBe(0);
  });

  it.each([
    ['in its description', { crc32c: 'AAAAAA==' }, {}],
    ['with its last chunk', {}, { 'x-goog-hash': 'crc32c=AAAAAA==' }],
  ])('refuses a wrong checksum %s', async (_, description, headers) => {
    const uri = await client.start('hash', '', description);
    expect((await client.put(uri, 'bytes 0-8/9', Buffer.from(digits.text), headers)).status).toBe(400);
    // Nor does it come to be by asking again.
    expect((await client.put(uri, 'bytes */9')).status).toBe(400);
    expect(await statusOf('hash')).toBe(404);
  });

  it('refuses a body without a length that is not as long as its range', async () => {
    const uri = await client.start('unsaid');
    const answer = await fetch(uri, {
      method: 'PUT',
      headers: { 'content-range': 'bytes 0-9/10' },
      body: new Blob(['too much for it']).stream(),
      duplex: 'half',
    } as RequestInit);
    expect(answer.status).toBe(400);
    expect((await client.put(uri, 'bytes */*')).headers.get('range')).toBe(null);
  });

  it('takes a right checksum with its last chunk', async () => {
    const uri = await client.start('right');
    const headers = { 'x-goog-hash': `crc32c=${digits.crc32c}` };
    expect((await client.put(uri, 'bytes 0-8/9', Buffer.from(digits.text), headers)).status).toBe(200);
  });

  it('looks at its preconditions when it is finished', async () => {
    const uri = await client.start('mine', '&ifGenerationMatch=0');
    await client.insert('mine', 'quicker');
    expect((await client.put(uri, 'bytes 0-8/9', Buffer.from(digits.text))).status).toBe(412);
    expect(await contentOf('mine')).toBe('quicker');
  });

  it('does not begin with a length that is none', async () => {
    const path = `/upload/storage/v1/b/${bucket}/o?uploadType=resumable&name=x`;
    const headers = { 'x-upload-content-length': 'ten' };
    expect((await client.ask(path, { method: 'POST', headers })).status).toBe(400);
  });

  it('is unknown with 404, over with 410 after a week, and cancelled with 499', async () => {
    const uri = await client.start('gone');
    expect((await client.put(`${uri}x`, 'bytes */*')).status).toBe(404);
    expect((await client.ask(uri, { method: 'DELETE', token: '' })).status).toBe(499);
    expect((await client.put(uri, 'bytes */*')).status).toBe(499);
    const old = await client.start('old');
    client.server.service.now = () => new Date(Date.now() + 7 * 86_400_000 + 1000);
    expect((await client.put(old, 'bytes 0-8/9', Buffer.from(digits.text))).status).toBe(410);
    expect(await statusOf('old')).toBe(404);
  });

  it('is opened by its URI alone, and refuses a token that is none, and other methods', async () => {
    const uri = await client.start('open');
    const asked = await client.ask(uri, {
      method: 'PUT',
      token: 'wrong',
      headers: { 'content-range': 'bytes */*' },
    });
    expect(asked.status).toBe(401);
    expect((await client.ask(uri, { method: 'POST', body: 'x' })).status).toBe(404);
  });

  it.each([
    ['a name is missing', '', {}],
    ['its storage class is none', '', { name: 'x', storageClass: 'LUKEWARM' }],
    ['its bucket gives objects no retention of their own', '', { name: 'x', retention: { mode: 'Locked' } }],
  ])('does not begin when %s', async (_, query, description) => {
    const path = `/upload/storage/v1/b/${bucket}/o?uploadType=resumable${query}`;
    expect((await client.ask(path, { method: 'POST', body: JSON.stringify(description) })).status).toBe(400);
  });
});
