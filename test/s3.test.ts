import { ListMultipartUploadsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  isBodyRead,
  isPart,
  startMeddler,
  type Fate,
  type Meddler,
} from '../plugins/sink-s3/test/meddler.ts';
import { contentOf } from './services/equality.ts';
import { createFleet, tenants, writePipeline } from './services/fleet.ts';
import { gateFor, makeLarge } from './services/gate.ts';
import { objectStoreHere, startObjectStore, type ObjectStore } from './services/object-store.ts';
import { pgsilo, pgsiloOk, startPgsilo, type CallOptions, type Running } from './services/pgsilo.ts';
import { startServer, until, type TestServer } from './services/server.ts';
import { listed } from './services/stored.ts';

const installed = await objectStoreHere();
const everything = ['@globals', 'acme', 'globex', 'vigia_master'];

describe.skipIf('unavailable' in installed)('backups in an S3 bucket', { timeout: 120_000 }, () => {
  let server: TestServer;
  let store: ObjectStore;
  let meddler: Meddler;
  let at: CallOptions;
  let run: Running | undefined;

  beforeAll(async () => {
    [server, store] = await Promise.all([startServer(), startObjectStore(installed)]);
    meddler = await startMeddler(store.endpoint);
    await createFleet(server, tenants.slice(0, 2));
    // Several parts of 5 MiB, when it has been compressed.
    await makeLarge(server, 'globex_db');
    for (let turn = 0; turn < 2; turn += 1)
      await server.query('globex_db', 'INSERT INTO app.ballast SELECT i, weight FROM app.ballast');
    at = { cwd: server.folder, env: { VIGIA_URL: server.url, ...store.env } };
  });
  afterEach(async () => {
    meddler.decide = () => 'pass';
    run?.kill('SIGKILL');
    await run?.result;
    run = undefined;
  });
  afterAll(async () => {
    await meddler?.stop();
    await store?.stop();
    await server?.stop();
  });

  async function keys(prefix: string): Promise<string[]> {
    const { Contents = [] } = await store.client.send(
      new ListObjectsV2Command({ Bucket: 'backups', Prefix: prefix }),
    );
    return Contents.map(({ Key }) => Key!).sort();
  }
  async function unfinished(prefix: string): Promise<number> {
    const command = new ListMultipartUploadsCommand({ Bucket: 'backups', Prefix: prefix });
    return ((await store.client.send(command)).Uploads ?? []).length;
  }

  it('are stored, listed, verified and restored as they were', async () => {
    const file = writePipeline(server, { name: 'whole', sinks: store.sink(', prefix: eu, partSize: 5MiB') });
    await pgsiloOk(['backup', file], at);
    expect(await listed(file, at)).toEqual(everything);
    await pgsiloOk(['verify', file], at);
    await pgsiloOk(['restore', file, 'globex', '--to', 'globex_again'], at);
    expect(await contentOf(server, 'globex_again')).toEqual(await contentOf(server, 'globex_db'));
    expect((await keys('')).filter((key) => !key.startsWith('eu/whole/'))).toEqual([]);
    expect(await unfinished('')).toBe(0);
  });

  it('are none, and leave nothing unfinished, where the run is interrupted in the middle of an upload', async () => {
    const gate = gateFor(server, 'globex', 's3', 36_000_000);
    const sinks = store.sink(', prefix: cut, partSize: 5MiB');
    const file = writePipeline(server, { name: 'cut', transform: gate.transform, sinks });
    run = startPgsilo(['backup', file, '--only', 'globex'], at);
    await gate.held();
    await until('parts have been sent', async () => (await unfinished('cut/')) > 0);
    run.kill('SIGINT');
    expect((await run.result).exit).toBe(130);
    expect((await keys('cut/')).filter((key) => key.includes('/units/'))).toEqual([]);
    expect(await unfinished('cut/')).toBe(0);
    expect(await listed(file, at)).toEqual([]);
  });

  it('are made when a store that said nothing answers again', async () => {
    const file = writePipeline(server, { name: 'frozen', sinks: store.sink(', prefix: frozen') });
    store.freeze();
    run = startPgsilo(['backup', file, '--only', 'acme'], at);
    try {
      await until('the run has begun', async () => (await server.sessionsOfPgsilo()).length > 0);
    } finally {
      store.thaw();
    }
    expect((await run.result).exit).toBe(0);
    expect(await listed(file, at)).toEqual(['acme']);
  });

  it('are whole behind a network that drops, delays and refuses', async () => {
    const sinks = store.sink(', prefix: shaky, partSize: 5MiB', meddler.endpoint);
    const file = writePipeline(server, { name: 'shaky', sinks });
    const fates: readonly (() => Fate)[] = [
      () => ({ status: 503, code: 'SlowDown' }),
      () => 'reset',
      () => 'lose the answer',
      () => ({ patience: 100 }),
    ];
    const met = new Set<string>();
    // The first try of each request meets one of them.
    meddler.decide = ({ method, url }) => {
      const request = `${method} ${url}`;
      if (met.has(request)) return 'pass';
      met.add(request);
      return fates[met.size % fates.length]!();
    };
    const { runs } = (await pgsiloOk(['backup', file, '--json'], at)).json();
    expect(runs[0].report.retries).toBeGreaterThan(10);
    meddler.decide = (request) => (isBodyRead(request) ? { cut: 1_500_000 } : 'pass');
    expect(await listed(file, at)).toEqual(everything);
    await pgsiloOk(['verify', file], at);
  });

  it('are not listed where credentials ran out in the middle of an upload, and others are', async () => {
    const sinks = store.sink(', prefix: expired, partSize: 5MiB', meddler.endpoint);
    const file = writePipeline(server, { name: 'expired', sinks });
    meddler.decide = (request) =>
      isPart(request) && request.url!.includes('partNumber=2')
        ? { status: 400, code: 'ExpiredToken' }
        : 'pass';
    const ended = await pgsilo(['backup', file], at);
    expect(ended.exit).not.toBe(0);
    expect(ended.stderr).toContain('sink.denied');
    expect(ended.all).toContain('have run out');
    expect(ended.all).not.toMatch(/Signature=|X-Amz-/i);
    meddler.decide = () => 'pass';
    expect(await listed(file, at)).not.toContain('globex');
    expect(await unfinished('expired/')).toBe(0);
    await pgsiloOk(['verify', file], at);
  });

  it('are kept apart from a wrong secret, which is shown nowhere', async () => {
    const file = writePipeline(server, { name: 'wrong', sinks: store.sink(', prefix: wrong') });
    const wrong = { ...at, env: { ...at.env, S3_SECRET: 'a-wrong-secret-5180' } };
    const ended = await pgsilo(['backup', file], wrong);
    expect(ended.exit).toBe(3);
    expect(ended.stderr).toContain('sink.denied');
    expect(ended.all).not.toContain('a-wrong-secret-5180');
    expect(await keys('wrong/')).toEqual([]);
  });

  it('come with a doctor who tries the bucket out, prints a lifecycle policy, and leaves nothing', async () => {
    const file = writePipeline(server, { name: 'tried', sinks: store.sink(', prefix: tried') });
    const { stdout } = await pgsiloOk(['doctor', file], at);
    expect(stdout).toMatch(/create-only +objects of one request and of many parts/);
    expect(stdout).toContain('AbortIncompleteMultipartUpload');
    expect(stdout).toMatch(/promises +\d+ of \d+ promises? kept/);
    expect(await keys('tried/')).toEqual([]);
  });

  it('are warned about by validate where a storage class or a lock does not fit retention', async () => {
    const lock = ', objectLock: { mode: COMPLIANCE, days: 3 }';
    const more = 'retention: { daily: 14 }';
    const file = writePipeline(server, { name: 'warned', sinks: store.sink(lock), more });
    const { stderr } = await pgsiloOk(['validate', file], at);
    expect(stderr).toMatch(/locked for 3 days and kept for 14/);
    const cold = writePipeline(server, { name: 'cold', sinks: store.sink(', storageClass: GLACIER'), more });
    const refused = await pgsilo(['validate', cold], at);
    expect(refused.exit).toBe(2);
    expect(refused.all).toMatch(/cold\.yaml:\d+:\d+/);
    expect(refused.all).toContain('allowColdRestore');
  });
});
