import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { isPgsiloError } from '@pgsilo/plugin';
import type { PgsiloError, Sink } from '@pgsilo/plugin';
import { expect } from 'vitest';
import { recordingLogger } from '@pgsilo/testkit';
import { startGcs } from '@pgsilo/testkit/object-stores';
import type { GcsBucketSettings, ThrowawayGcs } from '@pgsilo/testkit/object-stores';
import plugin from '../src/index.ts';
import { createGcsSink } from '../src/sink.ts';

export const bucket = 'backups';

/** The testkit's server, with a bucket, and credentials for it in a folder that is removed with it. */
export interface TestGcs extends ThrowawayGcs {
  readonly keyFile: string;
  open(chosen?: Record<string, unknown>, silence?: number): Sink;
}

export async function startTestGcs(settings: GcsBucketSettings = {}): Promise<TestGcs> {
  const server = await startGcs();
  server.service.createBucket(bucket, settings);
  const folder = await mkdtemp(join(tmpdir(), 'gcs-test-'));
  const { stop } = server;
  const keyFile = await server.tokens.writeCredentials(folder, server.endpoint);
  return Object.assign(server, {
    keyFile,
    open(chosen: Record<string, unknown> = {}, silence?: number) {
      const options = { bucket, apiEndpoint: server.endpoint, keyFile, ...chosen };
      const setup = { pipeline: 'test', folder, log: recordingLogger() };
      return createGcsSink(plugin.options.parse(options), setup, silence);
    },
    stop: async () => {
      await stop();
      await rm(folder, { recursive: true, force: true });
    },
  });
}

/** Of a call that must fail. */
export function errorOf(call: Promise<unknown>): Promise<PgsiloError> {
  return call.then(
    () => expect.fail('it should have failed'),
    (error: unknown) => (isPgsiloError(error) ? error : expect.fail(`no PgsiloError: ${inspect(error)}`)),
  );
}
