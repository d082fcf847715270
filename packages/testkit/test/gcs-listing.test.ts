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
const reasonOf = ({ status, json }: Awaited<ReturnType<GcsClient['ask']>>): unknown[] => [
  status,
  json.error?.errors[0]?.reason,
];

describe('listing', () => {
  it('goes in the order of bytes, by pages, each name once, of one prefix', async () => {
    // The last two of the folder are the other way round in UTF-16.
    const names = ['a/1', 'a/10', 'a/2', 'a/B', 'a/\u{ff61}', 'a/\u{1d11e}', 'b'];
    for (const name of names.toReversed()) await client.insert(name, name);
    const found: string[] = [];
    let token = '';
    let pages = 0;
    do {
      const { json } = await client.ask(
        `${objects}?prefix=a/&maxResults=2&fields=items(name),nextPageToken&pageToken=${encodeURIComponent(token)}`,
      );
      for (const item of json.items) expect(Object.keys(item)).toEqual(['name']);
      found.push(...json.items.map(({ name }) => name));
      token = json.nextPageToken ?? '';
      pages += 1;
    } while (token !== '');
    expect(found).toEqual(names.slice(0, 6));
    expect(pages).toBe(3);
  });

  it('gives no more than 1,000 at once, whatever was asked for', async () => {
    const { service } = client.server;
    for (let index = 0; index < 1001; index += 1)
      service.insert(service.bucket(bucket), { name: `many/${index}` }, Buffer.from('x'), {});
    const { json } = await client.ask(`${objects}?maxResults=5000`);
    expect(json.items).toHaveLength(1000);
    expect(json.nextPageToken).toBeDefined();
  });

  it('says what was asked for, however that was put', async () => {
    await client.insert('x', 'x');
    for (const fields of ['items(name,size)', 'items/name,items/size', 'kind/x,items(name),items/size']) {
      const { json } = await client.ask(`${objects}?fields=${fields}`);
      expect(json.items).toEqual([{ name: 'x', size: '1' }]);
    }
  });

  it('groups by a delimiter', async () => {
    for (const name of ['x/1', 'x/2', 'y', 'z/1']) await client.insert(name, 'x');
    const { json } = await client.ask(`${objects}?delimiter=/`);
    expect([json.prefixes, json.items.map((one) => one.name)]).toEqual([['x/', 'z/'], ['y']]);
  });

  it('of each folder says the whole name too, where one is asked for with its delimiter', async () => {
    for (const name of ['x/', 'x/1', 'y']) await client.insert(name, 'x');
    const { json } = await client.ask(`${objects}?delimiter=/&includeTrailingDelimiter=true`);
    expect([json.prefixes, json.items.map((one) => one.name)]).toEqual([['x/'], ['x/', 'y']]);
  });

  it('gives each folder and each object once, whatever the size of a page', async () => {
    const names = ['a', 'b/1', 'b/2', 'b/3', 'c', 'd/1', 'd/2', 'd0', 'e'];
    for (const name of names) await client.insert(name, 'x');
    for (const most of [1, 2, 3, 4, 9]) {
      const found: string[] = [];
      let token = '';
      do {
        const { json } = await client.ask(`${objects}?delimiter=/&maxResults=${most}&pageToken=${token}`);
        const items = json.items ?? [];
        expect(items.length + (json.prefixes?.length ?? 0)).toBeLessThanOrEqual(most);
        found.push(...(json.prefixes ?? []), ...items.map(({ name }) => name));
        token = encodeURIComponent(json.nextPageToken ?? '');
      } while (token !== '');
      expect(found.toSorted()).toEqual(['a', 'b/', 'c', 'd/', 'd0', 'e']);
    }
  });

  it('goes from one name, which belongs to it, to another, which does not', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'ü']) await client.insert(name, 'x');
    const { json } = await client.ask(`${objects}?startOffset=b&endOffset=d`);
    expect(json.items.map(({ name }) => name)).toEqual(['b', 'c']);
    const rest = await client.ask(`${objects}?startOffset=d`);
    expect(rest.json.items.map(({ name }) => name)).toEqual(['d', 'ü']);
  });

  it('gives no more generations on a page than were asked for, and goes on in the middle of a name', async () => {
    client.server.service.createBucket(bucket, { versioning: true });
    const generations: string[] = [];
    for (let index = 0; index < 5; index += 1)
      generations.push((await client.insert('v', 'x')).json.generation);
    generations.push((await client.insert('v/w', 'x')).json.generation);
    const found: string[] = [];
    let token = '';
    do {
      const { json } = await client.ask(`${objects}?versions=True&maxResults=2&pageToken=${token}`);
      expect(json.items.length).toBeLessThanOrEqual(2);
      found.push(...json.items.map(({ generation }) => generation));
      token = encodeURIComponent(json.nextPageToken ?? '');
    } while (token !== '');
    expect(found).toEqual(generations);
  });

  it.each(['matchGlob', 'softDeleted'])('refuses %s rather than ignoring it', async (name) => {
    expect((await client.ask(`${objects}?${name}=true`)).status).toBe(501);
  });

  it('refuses a page token that it did not give, and a page of nothing', async () => {
    for (const token of ['!', Buffer.from('a name').toString('base64')])
      expect(reasonOf(await client.ask(`${objects}?pageToken=${token}`))).toEqual([400, 'invalid']);
    expect(reasonOf(await client.ask(`${objects}?maxResults=0`))).toEqual([400, 'invalid']);
  });
});
