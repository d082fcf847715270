import { randomBytes } from 'node:crypto';
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import type { Sink } from '@pgsilo/plugin';
import { randomBody, sha256Of, testContext } from '@pgsilo/testkit';
import type { InstalledCeph } from '@pgsilo/testkit/object-stores';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { makeSink, optionsFor, startGateway } from './gateway.ts';
import type { Gateway, Written } from './gateway.ts';
import { startMeddler } from './meddler.ts';
import type { Meddler } from './meddler.ts';

export const mebibyte: number = 2 ** 20;
/** Bytes; three parts. */
export const large: number = 12 * mebibyte;
export const artifact = { kind: 'artifact' } as const;

/** A gateway with the buckets `backups`, `versioned` and `locked`, and a meddler in front of it; each test has its own sink, context and key. */
export interface BadNetwork {
  readonly gateway: Gateway;
  readonly meddler: Meddler;
  /** Sends parts of 5 MiB into `backups`. */
  readonly sink: Sink;
  readonly context: ReturnType<typeof testContext>;
  /** May be changed by a test that needs several. */
  key: string;
  /** Options of a sink behind the meddler. */
  options(more?: Partial<Written>): Written;
  /** Another sink behind the meddler, closed after the test. */
  open(more?: Partial<Written>): Promise<Sink>;
  /** No object is there, and no part of one that somebody would pay for. */
  mustBeGone(bucket?: string): Promise<void>;
  /** `randomBody(bytes)` is there, and nothing else that was begun. */
  mustBeWhole(bytes: number): Promise<void>;
}

/** Called in a suite: it starts and stops all that with the suite. */
export function useBadNetwork(installed: InstalledCeph): BadNetwork {
  const sinks: Sink[] = [];
  const stage = { key: '' } as { -readonly [Name in keyof BadNetwork]: BadNetwork[Name] };
  stage.options = (more = {}) => ({
    ...optionsFor(stage.gateway),
    endpoint: stage.meddler.endpoint,
    partSize: '5MiB',
    ...more,
  });
  stage.open = async (more) => {
    const sink = await makeSink(stage.options(more));
    sinks.push(sink);
    return sink;
  };
  const unfinished = async (Bucket: string): Promise<unknown> =>
    (await stage.gateway.client.send(new ListMultipartUploadsCommand({ Bucket }))).Uploads ?? [];
  stage.mustBeGone = async (bucket = 'backups') => {
    expect(await unfinished(bucket)).toEqual([]);
    const sink = await stage.open({ bucket });
    expect(await Array.fromAsync(sink.list(stage.key, stage.context))).toEqual([]);
  };
  stage.mustBeWhole = async (bytes) => {
    const stored = await sha256Of(stage.sink.get(stage.key, undefined, stage.context));
    expect(stored).toBe(await sha256Of(randomBody(bytes)));
    expect(await unfinished('backups')).toEqual([]);
  };

  beforeAll(async () => {
    stage.gateway = await startGateway(installed);
    await stage.gateway.makeBucket('backups');
    await stage.gateway.makeBucket('versioned', 'versioned');
    await stage.gateway.makeBucket('locked', 'locked');
    stage.meddler = await startMeddler(stage.gateway.endpoint);
  }, 120_000);
  afterAll(async () => {
    await stage.meddler?.stop();
    await stage.gateway?.stop();
  }, 60_000);
  beforeEach(async () => {
    stage.meddler.decide = () => 'pass';
    stage.meddler.done = () => {};
    stage.context = testContext({ memory: 32 * mebibyte });
    stage.key = `objects/${randomBytes(6).toString('hex')}`;
    stage.sink = await stage.open();
  });
  afterEach(async () => {
    stage.meddler.decide = () => 'pass';
    for (const sink of sinks.splice(0)) await sink.close();
    await stage.context.dispose();
  });
  return stage;
}
