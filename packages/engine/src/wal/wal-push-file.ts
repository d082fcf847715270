import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { basename } from 'node:path';
import { PgsiloError, isPgsiloError, toPgsiloError } from '@pgsilo/plugin';
import type { Body, WalFile } from '@pgsilo/plugin';
import { Meter } from '../meter.ts';
import { sinkPolicy } from '../objects.ts';
import type { PipelineSink } from '../pipeline.ts';
import { withRetry } from '../retry.ts';
import type { Failure } from '../run-records.ts';
import type { EngineSession } from '../session.ts';
import { walFilePrefix, walHashDigits } from './wal-keys.ts';
import { findWal, walConflict, walFileOf, walSinks } from './wal-store.ts';

export interface WalPushed {
  readonly name: string;
  readonly sinks: readonly {
    readonly sink: string;
    /** `there`: it was, with the same content. */
    readonly status: 'stored' | 'there' | 'failed';
    readonly error?: Failure;
  }[];
}

/** A file that every required sink has. */
export interface PushedFile extends WalPushed {
  /** All digits of the SHA-256 of what they have. */
  readonly sha256: string;
}

/**
 * Puts one file of the write-ahead log into every sink. Called again for the same file it does nothing; the key carries the hash of the file, so that this holds also where encryption makes the bytes differ.
 * Resolves only when every required sink has it; throws the first such sink's error, `wal.conflict` before all others. A sink that is not required and fails stands in the result.
 * @param share its part of the memory budget.
 */
export async function pushFile(session: EngineSession, path: string, share: number): Promise<PushedFile> {
  const { pipeline } = session;
  const name = basename(path);
  const { wal, file } = walFileOf(pipeline, name);
  await wal.examine(name, path);
  const source: Source = { path, file, hash: await hashOf(path) };
  const sinks = walSinks(pipeline);
  if (!sinks.some(({ required }) => required))
    throw new PgsiloError('config.invalid', 'no sink of the pipeline is required and takes write-ahead log', {
      hint: 'PostgreSQL removes what was archived: at least one sink must answer for it.',
    });
  const outcomes = await Promise.all(
    sinks.map(async (sink) => {
      try {
        return { sink, status: await pushInto(session, sink, source, share / sinks.length) } as const;
      } catch (error) {
        return { sink, status: 'failed', error: toPgsiloError(error, 'sink.failed') } as const;
      }
    }),
  );
  const failed = outcomes.filter((one) => one.status === 'failed');
  const worst =
    failed.find(({ error }) => error.code === 'wal.conflict') ?? failed.find(({ sink }) => sink.required);
  if (worst) throw worst.error;
  return {
    name,
    sha256: source.hash,
    sinks: outcomes.map((one) => ({
      sink: one.sink.name,
      status: one.status,
      ...(one.status === 'failed' ? { error: one.error.toJSON() } : {}),
    })),
  };
}

interface Source {
  readonly path: string;
  readonly file: WalFile;
  /** All digits of the SHA-256. */
  readonly hash: string;
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
  } catch (error) {
    throw new PgsiloError('source.failed', `${path} cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return hash.digest('hex');
}

/** The file can be read again, so all of it is repeated where a store is busy. */
function pushInto(
  session: EngineSession,
  sink: PipelineSink,
  source: Source,
  share: number,
): Promise<'stored' | 'there'> {
  return withRetry(sinkPolicy(session, sink, session.signal), 'sink.failed', async () => {
    const before = await keyOf(session, sink, source);
    // A call that was killed may have stored it, with the last step undone that keeps it through a power cut.
    if (before !== undefined) return await settled(session, sink, before);
    try {
      await put(session, sink, source, share);
    } catch (error) {
      // Another call was faster, or the answer to our own was lost.
      const now =
        isPgsiloError(error) && error.code === 'sink.exists' ? await keyOf(session, sink, source) : undefined;
      if (now === undefined) throw error;
      return await settled(session, sink, now);
    }
    // Two calls at once with two contents both found nothing before.
    await keyOf(session, sink, source);
    return 'stored';
  });
}

async function settled(session: EngineSession, { sink }: PipelineSink, key: string): Promise<'there'> {
  await sink.settle?.(key, session.context());
  return 'there';
}

/** Key of the object that has it; undefined: there is none. Throws `wal.conflict` for another content. */
async function keyOf(
  session: EngineSession,
  sink: PipelineSink,
  { file, hash, path }: Source,
): Promise<string | undefined> {
  const objects = await findWal(session, sink, file);
  const own = hash.slice(0, walHashDigits);
  const other = objects.find((object) => object.hash !== own);
  if (other) throw walConflict(sink, file.name, other.key, `${path} (${own})`);
  return objects[0]?.key;
}

async function put(
  session: EngineSession,
  sink: PipelineSink,
  { path, file, hash }: Source,
  share: number,
): Promise<void> {
  const { name, transforms } = session.pipeline;
  const part = share / (transforms.length + 1);
  let body: Body = unchanged(path, hash);
  let key = walFilePrefix(name, file.timeline, file.name) + hash.slice(0, walHashDigits);
  for (const { transform } of transforms) {
    const about = { unit: '@cluster', run: 'wal', artifact: file.name };
    // A segment has no manifest for the parameters: transforms decode without them.
    ({ body } = await transform.encode(body, about, session.context(part)));
    key += transform.suffix;
  }
  const meter = new Meter();
  const stored = await sink.sink.put(
    key,
    session.throttled(sink, meter.watch(body), session.signal),
    { kind: 'wal' },
    session.context(part),
  );
  if (stored.bytes !== meter.bytes)
    throw new PgsiloError(
      'sink.corrupt',
      `sink ${sink.name} stored ${stored.bytes} of ${meter.bytes} bytes of ${key}`,
    );
}

/** The file's bytes; throws at their end when they are not those that were hashed, so that nothing is stored under a wrong name. */
async function* unchanged(path: string, hash: string): AsyncGenerator<Uint8Array> {
  const meter = new Meter();
  yield* meter.watch(createReadStream(path));
  if (meter.digest() !== hash)
    throw new PgsiloError('source.failed', `${path} was changed while it was archived`);
}
