import { PgsiloError } from '@pgsilo/plugin';
import type { WalFile, WalFiles } from '@pgsilo/plugin';
import { listObjects } from '../objects.ts';
import type { Pipeline, PipelineSink } from '../pipeline.ts';
import type { EngineSession } from '../session.ts';
import { parseWalKey, walFilePrefix, type WalObject } from './wal-keys.ts';

/** The source's knowledge of the log. Throws `usage.invalid` where it has none, and for what is no file of the log. */
export function walFileOf(
  { source }: Pipeline,
  name: string,
): { readonly wal: WalFiles; readonly file: WalFile } {
  const { wal } = source.source;
  if (!wal)
    throw new PgsiloError('usage.invalid', `${source.use} backs up no files, and keeps no write-ahead log`, {
      hint: 'It belongs to a pipeline whose source is basebackup.',
    });
  const file = wal.classify(name);
  if (!file)
    throw new PgsiloError('usage.invalid', `${JSON.stringify(name)} is no file of a write-ahead log`, {
      hint: 'In archive_command the path is %p; in restore_command the name is %f and the path %p.',
    });
  return { wal, file };
}

/** Sinks that take the log: one that takes a backup for each month alone could do nothing with it. */
export function walSinks({ sinks }: Pipeline): readonly PipelineSink[] {
  return sinks.filter(({ accept }) => accept === undefined);
}

/** All objects of one file of the log in a sink; more than one only where somebody has archived another content under its name. */
export async function findWal(
  session: EngineSession,
  sink: PipelineSink,
  { timeline, name }: WalFile,
): Promise<readonly WalObject[]> {
  const prefix = walFilePrefix(session.pipeline.name, timeline, name);
  const found: WalObject[] = [];
  for await (const { key, bytes } of listObjects(session, sink, prefix)) {
    const object = parseWalKey(prefix, key, bytes);
    if (object) found.push(object);
  }
  return found;
}

/** Name of the file of the log that an object holds; undefined for an object that is none, or lies elsewhere than its name says. */
export function walNameOf(wal: WalFiles, pipeline: string, key: string, bytes: number): string | undefined {
  const name = key.slice(key.lastIndexOf('/') + 1).replace(/-[0-9a-f]{16}(?:\.[a-z0-9]+)*$/, '');
  const file = wal.classify(name);
  if (!file || !parseWalKey(walFilePrefix(pipeline, file.timeline, name), key, bytes)) return undefined;
  return name;
}

/** Two contents under one name: two servers archive into one place, or a server was restored and goes on under the timeline of another. */
export function walConflict(sink: PipelineSink, name: string, one: string, other: string): PgsiloError {
  return new PgsiloError(
    'wal.conflict',
    `${name} is in sink ${sink.name} with another content: ${one} and ${other}`,
    {
      hint: 'Two servers archive into this pipeline, or one was restored and did not begin a timeline of its own. Nothing was overwritten: find out which of them must not archive here.',
    },
  );
}
