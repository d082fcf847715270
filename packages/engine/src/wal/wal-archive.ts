import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import {
  toPgsiloError,
  type LogArchive,
  type LogFile,
  type RecoveryGoal,
  type RecoveryTarget,
} from '@pgsilo/plugin';
import { listObjects } from '../objects.ts';
import type { Pipeline } from '../pipeline.ts';
import { withSession } from '../session.ts';
import { fetchWal } from './wal-fetch.ts';
import { walTimelinePrefix } from './wal-keys.ts';
import { walSinks } from './wal-store.ts';

/** What somebody wants to be recovered to, and the command that brings a file of the log to a server that is started later. */
export interface RecoveryWish extends RecoveryGoal {
  readonly fetchCommand: string;
}

/** The log of a pipeline, in all its sinks. What was looked at once is not looked at again. */
export function openLogArchive(pipeline: Pipeline, signal: AbortSignal): LogArchive {
  const lists = new Map<string, Promise<readonly LogFile[]>>();
  const texts = new Map<string, Promise<Uint8Array | undefined>>();
  return {
    list: (timeline) => once(lists, timeline, () => listLog(pipeline, timeline, signal)),
    read: (name) => once(texts, name, () => readLogFile(pipeline, name, signal)),
  };
}

export function recoveryTarget(
  pipeline: Pipeline,
  wish: RecoveryWish,
  archive: LogArchive,
  signal: AbortSignal,
): RecoveryTarget {
  return { ...wish, archive, fetch: (name, path) => fetchWal(pipeline, name, path, signal) };
}

function once<Found>(
  known: Map<string, Promise<Found>>,
  key: string,
  look: () => Promise<Found>,
): Promise<Found> {
  let found = known.get(key);
  if (!found) known.set(key, (found = look()));
  return found;
}

/** A sink that is not required and does not answer is passed over: the others have what was archived. */
function listLog(pipeline: Pipeline, timeline: string, signal: AbortSignal): Promise<readonly LogFile[]> {
  return withSession(pipeline, signal, async (session) => {
    const files = new Map<string, LogFile>();
    const prefix = walTimelinePrefix(pipeline.name, timeline);
    for (const sink of walSinks(pipeline))
      try {
        for await (const { key, bytes } of listObjects(session, sink, prefix)) {
          const name = key.slice(prefix.length).replace(/-[^-]*$/, '');
          if (!files.has(name) && pipeline.source.source.wal?.classify(name))
            files.set(name, { name, bytes });
        }
      } catch (error) {
        if (sink.required || signal.aborted) throw error;
        const { message } = toPgsiloError(error);
        pipeline.log.warn(`the write-ahead log in sink ${sink.name} was not listed: ${message}`);
      }
    return [...files.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  });
}

function readLogFile(pipeline: Pipeline, name: string, signal: AbortSignal): Promise<Uint8Array | undefined> {
  return withSession(pipeline, signal, async (session) => {
    const path = join(await session.scratch.folder(), `log-${randomBytes(6).toString('hex')}`);
    if (!(await fetchWal(pipeline, name, path, signal))) return undefined;
    try {
      return await readFile(path);
    } finally {
      await rm(path, { force: true });
    }
  });
}
