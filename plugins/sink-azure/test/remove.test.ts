import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Sink } from '@pgsilo/plugin';
import { bodyOf, recordingLogger, testContext } from '@pgsilo/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import plugin from '../src/index.ts';
import { account, key, startAzurite } from './azurite.ts';
import type { Azurite } from './azurite.ts';
import { startMeddler } from './meddler.ts';
import type { Fate, Meddler } from './meddler.ts';

let server: Azurite;
let meddler: Meddler;
let sink: Sink;
const context = testContext();

beforeAll(async () => {
  server = await startAzurite();
  await server.service.createContainer('backups');
  meddler = await startMeddler(server.endpoint);
}, 60_000);
afterAll(async () => {
  await meddler.stop();
  await server.stop();
  await context.dispose();
}, 60_000);
beforeEach(async () => {
  meddler.decide = () => 'pass';
  const options = { container: 'backups', endpoint: meddler.endpoint, account, key };
  const setup = { pipeline: 'test', folder: '/', log: recordingLogger() };
  sink = await plugin.create(plugin.options.parse(options), setup);
});
afterEach(() => sink.close());

/** What the emulator cannot do: it keeps no versions. Answers about them come from here, all else from it. */
function keepVersions(removal: Fate): { readonly removed: string[]; readonly asked: () => number } {
  const removed: string[] = [];
  let asked = 0;
  meddler.decide = ({ method, url = '' }: IncomingMessage): Fate => {
    const { searchParams } = new URL(url, 'http://host');
    const version = searchParams.get('versionid');
    if (method === 'DELETE' && version !== null) {
      removed.push(version);
      return removal;
    }
    if (!searchParams.get('include')?.includes('versions')) return 'pass';
    asked += 1;
    const name = searchParams.get('prefix') ?? '';
    const blob = (of: string, id: string): string =>
      `<Blob><Name>${of}</Name><VersionId>${id}</VersionId><Properties><Etag>0x1</Etag></Properties></Blob>`;
    const blobs = [
      blob(name, `one-${name}`),
      blob(name, `two-${name}`),
      blob(`${name}x`, 'of another object'),
    ];
    const list = `<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs>${blobs.join('')}</Blobs><NextMarker/></EnumerationResults>`;
    return { status: 200, text: list };
  };
  return { removed, asked: () => asked };
}

describe('removing', () => {
  it('takes many keys at once, and asks for versions only until it knows that there are none', async () => {
    const name = randomBytes(6).toString('hex');
    const many = Array.from({ length: 50 }, (_, index) => `${name}/${index}`);
    await Promise.all(many.map((one) => sink.put(one, bodyOf('x'), { kind: 'note' }, context)));
    let asked = 0;
    meddler.decide = ({ url = '' }) => {
      if (url.includes('versions')) asked += 1;
      return 'pass';
    };
    expect(await sink.remove(many, context)).toEqual([]);
    expect(await Array.fromAsync(sink.list(name, context))).toEqual([]);
    expect(asked).toBeGreaterThan(0);
    expect(asked).toBeLessThan(many.length);
  });

  it('removes the versions that an account keeps, and those of no other object', async () => {
    const { removed } = keepVersions({ status: 202 });
    await sink.put('a', bodyOf('x'), { kind: 'note' }, context);
    expect(await sink.remove(['a', 'gone'], context)).toEqual([]);
    expect(removed.toSorted()).toEqual(['one-a', 'one-gone', 'two-a', 'two-gone']);
  });

  it('says which objects are kept by those who may not remove versions, and check warns', async () => {
    keepVersions({ status: 403, code: 'AuthorizationPermissionMismatch' });
    await sink.put('b', bodyOf('x'), { kind: 'note' }, context);
    expect(await sink.remove(['b'], context)).toEqual([{ key: 'b' }]);
    const results = await Array.fromAsync(sink.check(context));
    expect(results.map(({ name, status }) => [name, status])).toEqual([
      ['write access', 'ok'],
      ['removal', 'warning'],
    ]);
  });
});
