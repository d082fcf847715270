import { randomBytes } from 'node:crypto';
import type { Sink, StoredObject } from '@pgsilo/plugin';
import { randomBody, sha256Of, testContext } from '@pgsilo/testkit';
import type { TestContext } from '@pgsilo/testkit';
import type { GcsCall, GcsFault, GcsRequest } from '@pgsilo/testkit/object-stores';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { startTestGcs } from './gcs.ts';
import type { TestGcs } from './gcs.ts';

export const mebibyte: number = 1024 * 1024;
/** Of an object of several chunks. */
export const size: number = 5 * mebibyte + 321;
export const artifact = { kind: 'artifact' } as const;

/** What the tests of faults work with; all but the server is new for each test. */
export interface FaultyGcs {
  server: TestGcs;
  /** Its chunks are of 1 MiB. */
  sink: Sink;
  context: TestContext;
  /** A key that nobody else has. */
  name: string;
  /** What the server did, in order. */
  calls: GcsCall[];
  /** Of the server's requests that were done, or would have been but for a fault. */
  asked: GcsRequest[];
  /** Faults for the first requests of a kind, one each. */
  fault(which: GcsCall | ((request: GcsRequest) => boolean), ...faults: GcsFault[]): void;
  put(bytes?: number): Promise<StoredObject>;
  keys(): Promise<string[]>;
  mustBeWhole(bytes?: number): Promise<void>;
}

/** The request by which an object comes to be. */
export const makesObject = ({ call, headers }: GcsRequest): boolean =>
  call === 'insert' || (call === 'chunk' && !String(headers['content-range']).endsWith('/*'));

export function useFaultyGcs(): FaultyGcs {
  const gcs = {
    fault(which, ...faults) {
      const meant = typeof which === 'function' ? which : ({ call }: GcsRequest) => call === which;
      gcs.server.decide = (request) => {
        gcs.asked.push(request);
        return meant(request) ? faults.shift() : undefined;
      };
    },
    put: (bytes = size) => gcs.sink.put(gcs.name, randomBody(bytes), artifact, gcs.context),
    keys: async () => (await Array.fromAsync(gcs.sink.list(gcs.name, gcs.context))).map(({ key }) => key),
    async mustBeWhole(bytes = size) {
      expect(await gcs.keys()).toEqual([gcs.name]);
      const read = gcs.sink.get(gcs.name, undefined, gcs.context);
      expect(await sha256Of(read)).toBe(await sha256Of(randomBody(bytes)));
    },
  } as FaultyGcs;
  beforeAll(async () => {
    gcs.server = await startTestGcs();
  });
  afterAll(() => gcs.server.stop());
  beforeEach(() => {
    gcs.calls = [];
    gcs.asked = [];
    gcs.fault('unknown');
    gcs.server.done = ({ call }) => void gcs.calls.push(call);
    gcs.server.service.damage = (content) => content;
    gcs.server.service.now = () => new Date();
    gcs.context = testContext({ memory: 8 * mebibyte });
    gcs.name = `objects/${randomBytes(6).toString('hex')}`;
    gcs.sink = gcs.server.open({ chunkSize: '1MiB' });
  });
  afterEach(async () => {
    await gcs.sink.close();
    await gcs.context.dispose();
  });
  return gcs;
}
