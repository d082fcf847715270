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

describe('versions', () => {
  it('are kept of what is replaced and removed, and go by generation', async () => {
    client.server.service.createBucket(bucket, { versioning: true });
    const first = (await client.insert('v', '1')).json.generation;
    const second = (await client.insert('v', '22')).json.generation;
    expect((await remove('v')).status).toBe(204);
    expect((await client.ask(at('v'))).status).toBe(404);
    const { json } = await client.ask(`${objects}?versions=true`);
    expect(json.items.map((one) => one.generation)).toEqual([first, second]);
    expect((await client.ask(at('v', `?generation=${first}&alt=media`))).text).toBe('1');
    for (const generation of [first, second])
      expect((await remove('v', `?generation=${generation}`)).status).toBe(204);
    expect((await client.ask(`${objects}?versions=true`)).json.items).toBeUndefined();
  });
});

describe('what is kept', () => {
  const hold = (name: string, said: object) =>
    client.ask(at(name), { method: 'PATCH', body: JSON.stringify(said) });

  const inHours = (hours: number): string => new Date(Date.now() + hours * 3_600_000).toISOString();

  it.each(['temporaryHold', 'eventBasedHold'])('by a %s is neither removed nor replaced', async (kind) => {
    await client.insert('h', 'x');
    await hold('h', { [kind]: true });
    for (const answer of [await remove('h'), await client.insert('h', 'y')]) {
      expect(reasonOf(answer)).toEqual([403, 'forbidden']);
      expect(answer.json.error?.message).toMatch(/under active .* hold/);
    }
    await hold('h', { [kind]: false });
    expect((await remove('h')).status).toBe(204);
  });

  it('by the policy of a bucket is free when its time is over', async () => {
    client.server.service.createBucket(bucket, { retention: 3_600_000 });
    const { json } = await client.insert('k', 'x');
    expect(Date.parse(json.retentionExpirationTime)).toBe(Date.parse(json.timeCreated) + 3_600_000);
    expect(reasonOf(await remove('k'))).toEqual([403, 'retentionPolicyNotMet']);
    // A condition is looked at first.
    expect((await remove('k', '?ifGenerationMatch=1')).status).toBe(412);
    client.server.service.now = () => new Date(Date.now() + 3_700_000);
    expect((await remove('k')).status).toBe(204);
  });

  it('by a retention of its own is free when its time is over', async () => {
    client.server.service.createBucket(bucket, { objectRetention: true });
    await client.insert('own', 'x');
    expect((await hold('own', { retention: { mode: 'Unlocked', retainUntilTime: inHours(1) } })).status).toBe(
      200,
    );
    expect(reasonOf(await remove('own'))).toEqual([403, 'retentionPolicyNotMet']);
    client.server.service.now = () => new Date(Date.now() + 3_700_000);
    expect((await remove('own')).status).toBe(204);
  });

  it('by a retention of its own is kept longer by whoever wants, shorter by who says so, and if locked by nobody', async () => {
    client.server.service.createBucket(bucket, { objectRetention: true });
    await client.insert('own', 'x');
    const retain = (mode: string, hours: number, query = '') =>
      client.ask(at('own', query), {
        method: 'PATCH',
        body: JSON.stringify({ retention: { mode, retainUntilTime: inHours(hours) } }),
      });
    const anyway = '?overrideUnlockedRetention=true';
    expect((await retain('Unlocked', 2)).status).toBe(200);
    expect(reasonOf(await retain('Unlocked', 1))).toEqual([403, 'forbidden']);
    expect(reasonOf(await hold('own', { retention: null }))).toEqual([403, 'forbidden']);
    expect((await retain('Unlocked', 1, anyway)).status).toBe(200);
    expect((await retain('Locked', 2)).status).toBe(200);
    expect(reasonOf(await retain('Locked', 1, anyway))).toEqual([403, 'forbidden']);
    expect(reasonOf(await retain('Unlocked', 3, anyway))).toEqual([403, 'forbidden']);
    expect((await retain('Locked', 3)).status).toBe(200);
  });

  it.each([
    ['in a bucket that does not allow it', {}, { mode: 'Locked', retainUntilTime: '2100-01-01T00:00:00Z' }],
    ['without a mode', { objectRetention: true }, { retainUntilTime: '2100-01-01T00:00:00Z' }],
    ['without a time', { objectRetention: true }, { mode: 'Locked' }],
  ])('is refused a retention of its own %s', async (_, settings, retention) => {
    client.server.service.createBucket(bucket, settings);
    await client.insert('own', 'x');
    expect(reasonOf(await hold('own', { retention }))).toEqual([400, 'invalid']);
    expect((await remove('own')).status).toBe(204);
  });

  it('by an event-based hold begins its retention when the hold ends', async () => {
    client.server.service.createBucket(bucket, { retention: 3_600_000, defaultEventBasedHold: true });
    const { json } = await client.insert('e', 'x');
    expect(json.retentionExpirationTime).toBeUndefined();
    const released = new Date(Date.now() + 7_200_000);
    client.server.service.now = () => released;
    await hold('e', { eventBasedHold: false });
    expect(reasonOf(await remove('e'))).toEqual([403, 'retentionPolicyNotMet']);
    client.server.service.now = () => new Date(released.getTime() + 3_600_001);
    expect((await remove('e')).status).toBe(204);
  });

  it('by a hold stays the live one, where versions are kept too', async () => {
    client.server.service.createBucket(bucket, { versioning: true });
    await client.insert('h', 'x');
    await hold('h', { temporaryHold: true });
    for (const answer of [await remove('h'), await client.insert('h', 'y')])
      expect(reasonOf(answer)).toEqual([403, 'forbidden']);
    expect((await client.ask(at('h', '?alt=media'))).text).toBe('x');
  });

  it('may stop being the live one where versions are kept, and is not removed by generation', async () => {
    client.server.service.createBucket(bucket, { retention: 3_600_000, versioning: true });
    const { json } = await client.insert('k', 'x');
    expect((await remove('k')).status).toBe(204);
    expect((await remove('k', `?generation=${json.generation}`)).status).toBe(403);
  });
});

describe('what is changed afterwards', () => {
  const patch = (said: object, query = '') =>
    client.ask(at('c', query), { method: 'PATCH', body: JSON.stringify(said) });

  it('is what was named: metadata by entry, null takes it away, and what is fixed stays', async () => {
    await client.insert('c', 'x', '', { 'content-type': 'text/plain' });
    await patch({ metadata: { a: '1', b: '2' } });
    const { json } = await patch({
      metadata: { b: null, c: '3' },
      contentType: null,
      storageClass: 'ARCHIVE',
      name: 'd',
    });
    expect(json).toMatchObject({
      name: 'c',
      metadata: { a: '1', c: '3' },
      contentType: 'application/octet-stream',
      storageClass: 'STANDARD',
      metageneration: '3',
    });
  });

  it('is refused when a precondition does not hold, and when it is no JSON', async () => {
    await client.insert('c', 'x');
    expect((await patch({ metadata: { a: '1' } }, '?ifMetagenerationMatch=7')).status).toBe(412);
    const { status, json } = await client.ask(at('c'), { method: 'PATCH', body: '{' });
    expect([status, json.error?.errors[0]?.reason]).toEqual([400, 'parseError']);
    expect((await client.ask(at('c'))).json.metadata).toBeUndefined();
  });
});
