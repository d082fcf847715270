import { Storage } from '@google-cloud/storage';
import type { Bucket } from '@google-cloud/storage';
import { OAuth2Client } from 'google-auth-library';
import { collect, testContext } from '@pgsilo/testkit';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { bucket, startTestGcs } from './gcs.ts';
import type { TestGcs } from './gcs.ts';

/** The real client shows that the server keeps to the protocol, and that it and the sink mean the same. */
let server: TestGcs;
let storage: Storage;
let theirs: Bucket;
beforeAll(async () => {
  server = await startTestGcs();
  const authClient = new OAuth2Client();
  const token = server.tokens.issue();
  authClient.setCredentials({ access_token: token });
  storage = new Storage({
    apiEndpoint: server.endpoint,
    useAuthWithCustomEndpoint: true,
    authClient: authClient as never,
    projectId: 'test',
  });
  theirs = storage.bucket(bucket);
  // With an endpoint that is not Google's, its write streams begin their sessions without a token, whatever `useAuthWithCustomEndpoint` says.
  theirs.interceptors.push({
    request: (asked) =>
      ({ ...asked, headers: { ...asked.headers, authorization: `Bearer ${token}` } }) as never,
  });
});
afterAll(() => server.stop());
beforeEach(() => {
  server.decide = () => undefined;
});

const content = Buffer.alloc(1_500_000, 'some bytes ');

describe("Google's own client", () => {
  it.each([
    ['in one request', { resumable: false }],
    ['in a session of one request', { resumable: true }],
    ['in a session of chunks', { resumable: true, chunkSize: 256 * 1024 }],
  ])('stores an object %s, which the sink reads', async (how, settings) => {
    const name = `theirs/${how.replaceAll(' ', '-')}`;
    await theirs.file(name).save(content, { ...settings, preconditionOpts: { ifGenerationMatch: 0 } });
    const sink = server.open();
    const context = testContext();
    expect((await collect(sink.get(name, undefined, context))).equals(content)).toBe(true);
    await sink.close();
    await context.dispose();
    const again = theirs
      .file(name)
      .save(content, { ...settings, preconditionOpts: { ifGenerationMatch: 0 } });
    await expect(again).rejects.toMatchObject({ code: 412 });
  });

  it('reads, lists and removes what the sink stored', async () => {
    const sink = server.open({ chunkSize: '256KiB' });
    const context = testContext();
    async function* body() {
      yield content;
    }
    await sink.put('ours/x', body(), { kind: 'artifact' }, context);
    await sink.close();
    await context.dispose();
    const [files] = await theirs.getFiles({ prefix: 'ours/', autoPaginate: false });
    expect(files.map(({ name }) => name)).toEqual(['ours/x']);
    // It compares the CRC32C on its way.
    const [read] = await theirs.file('ours/x').download();
    expect(read.equals(content)).toBe(true);
    await theirs.file('ours/x').delete();
    expect((await theirs.file('ours/x').exists())[0]).toBe(false);
  });

  it('goes on after a chunk that was refused with a 503', async () => {
    let faults = 1;
    server.decide = ({ call }) => (call === 'chunk' && faults-- > 0 ? { status: 503 } : undefined);
    await theirs.file('theirs/503').save(content, {
      resumable: true,
      chunkSize: 512 * 1024,
      preconditionOpts: { ifGenerationMatch: 0 },
    });
    expect((await theirs.file('theirs/503').download())[0].equals(content)).toBe(true);
  });

  it('reads a range, and lists by pages, by folder and by version', async () => {
    const { service } = server;
    const versioned = service.createBucket('versioned', { versioning: true });
    for (const name of ['a/1', 'a/1', 'a/2', 'b']) service.insert(versioned, { name }, content, {});
    const other = storage.bucket('versioned');
    other.interceptors.push(...theirs.interceptors);
    const names = async (options: object) => (await other.getFiles(options))[0].map(({ name }) => name);
    const [page, next] = await other.getFiles({ maxResults: 2, autoPaginate: false });
    expect(page.map(({ name }) => name)).toEqual(['a/1', 'a/2']);
    expect(await names({ ...next })).toEqual(['b']);
    expect(await names({ versions: true, prefix: 'a/' })).toEqual(['a/1', 'a/1', 'a/2']);
    expect(await names({ delimiter: '/', autoPaginate: false })).toEqual(['b']);
    const [read] = await other.file('a/1').download({ start: 100, end: 1_099 });
    expect(read.equals(content.subarray(100, 1_100))).toBe(true);
    const [older] = await other.getFiles({ versions: true, prefix: 'a/1' });
    const generations = older.map(({ metadata }) => metadata.generation);
    for (const generation of generations)
      await other.file('a/1', { generation: Number(generation) }).delete();
    expect(await names({ versions: true })).toEqual(['a/2', 'b']);
  });

  it('is refused what a precondition or a hold forbids', async () => {
    const file = theirs.file('theirs/held');
    await file.save('x', { resumable: false });
    await expect(file.delete({ ifGenerationMatch: 1 })).rejects.toMatchObject({ code: 412 });
    await file.setMetadata({ temporaryHold: true });
    await expect(file.delete()).rejects.toMatchObject({ code: 403 });
    await file.setMetadata({ temporaryHold: false });
    await file.delete();
    expect((await file.exists())[0]).toBe(false);
  });
});
