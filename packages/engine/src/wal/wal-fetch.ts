import { randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { PgsiloError, toPgsiloError } from '@pgsilo/plugin';
import type { WalFile } from '@pgsilo/plugin';
import { Meter } from '../meter.ts';
import type { Pipeline, PipelineSink } from '../pipeline.ts';
import { withSession, type EngineSession } from '../session.ts';
import { decodedWal } from './wal-decode.ts';
import { walHashDigits, type WalObject } from './wal-keys.ts';
import { findWal, walConflict, walFileOf, walSinks } from './wal-store.ts';

/**
 * Brings one file of the write-ahead log back, whole and proved by the hash in its key, under a path where nothing is seen before that.
 * @returns false only where it is proved that the file was never archived: PostgreSQL ends recovery then, without an error. Whatever else keeps the file from coming throws: a store that does not answer, an object that
 * was altered, two contents under one name.
 */
export function fetchWal(
  pipeline: Pipeline,
  name: string,
  path: string,
  signal: AbortSignal,
): Promise<boolean> {
  return withSession(pipeline, signal, async (session) => {
    const { file } = walFileOf(pipeline, name);
    let failure: PgsiloError | undefined;
    let unanswered: PgsiloError | undefined;
    // What was archived is in every required sink: those say whether it was.
    const sinks = walSinks(pipeline).toSorted((a, b) => Number(b.required) - Number(a.required));
    const witnesses = sinks.some(({ required }) => required)
      ? sinks.filter(({ required }) => required)
      : sinks;
    for (const sink of sinks) {
      try {
        const object = only(sink, name, await findWal(session, sink, file));
        if (!object) continue;
        await bring(session, sink, file, object, path);
        return true;
      } catch (thrown) {
        const error = toPgsiloError(thrown, 'sink.failed');
        // It would come from another sink as if nothing were wrong.
        if (error.code === 'wal.conflict' || session.signal.aborted) throw error;
        pipeline.log.warn(`${name} did not come from sink ${sink.name}: ${error.message}`);
        failure ??= error;
        if (witnesses.includes(sink)) unanswered ??= error;
      }
    }
    if (unanswered) throw unanswered;
    // Those that said no may have expired what another sink still has.
    if (failure && witnesses.every(({ retention }) => retention)) throw failure;
    // Of a sink that is not required: it was there, and did not come.
    if (failure && damaged.has(failure.code)) throw failure;
    return false;
  });
}

const damaged: ReadonlySet<string> = new Set(['sink.corrupt', 'transform.corrupt', 'transform.key-missing']);

function only(sink: PipelineSink, name: string, objects: readonly WalObject[]): WalObject | undefined {
  const [first, ...others] = objects;
  const other = others.find(({ hash }) => hash !== first!.hash);
  if (other) throw walConflict(sink, name, first!.key, other.key);
  return first;
}

async function bring(
  session: EngineSession,
  sink: PipelineSink,
  { name }: WalFile,
  object: WalObject,
  path: string,
): Promise<void> {
  const aside = `${path}.${randomBytes(6).toString('hex')}.pgsilo`;
  try {
    const file = await open(aside, 'wx', 0o600);
    try {
      const meter = new Meter();
      for await (const chunk of meter.watch(decodedWal(session, sink, object)))
        for (let at = 0; at < chunk.byteLength;)
          at += (await file.write(chunk, at, chunk.byteLength - at)).bytesWritten;
      if (meter.digest().slice(0, walHashDigits) !== object.hash)
        throw new PgsiloError(
          'sink.corrupt',
          `${object.key} in sink ${sink.name} is not ${name} as it was archived: its hash is another`,
          { hint: 'Use the copy in another sink.' },
        );
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(aside, path);
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
}
