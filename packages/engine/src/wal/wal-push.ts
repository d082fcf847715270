import { basename } from 'node:path';
import { throwIfAborted, toPgsiloError } from '@pgsilo/plugin';
import type { PgsiloError, WalQueue } from '@pgsilo/plugin';
import type { Pipeline } from '../pipeline.ts';
import { eachLimited } from '../pool.ts';
import { withSession, type EngineSession } from '../session.ts';
import { pushFile, type PushedFile, type WalPushed } from './wal-push-file.ts';
import { walFileOf } from './wal-store.ts';

export interface WalPushOptions {
  readonly signal: AbortSignal;
  /** Tells apart what this pipeline's notes are good for. Without it only the one file is pushed. */
  readonly place?: string;
  /** Called at once for each other file: it is kept, or it is not. */
  readonly onOther?: (pushed: WalPushed | { readonly name: string; readonly error: PgsiloError }) => void;
}

/** Other files that one call pushes: the server waits meanwhile. */
const mostOthers = 32;
/** Others that one call tries, where many are bad: those behind them must not wait for ever. */
const mostTried = 1024;
/** What is wrong with a file itself. After other errors further files would have the same. */
const ownFault: ReadonlySet<string> = new Set(['wal.conflict', 'source.archive-invalid', 'source.failed']);

/**
 * Puts a file of the write-ahead log into every sink, as {@link pushFile} does, and with it others that wait, so that a server that writes fast is not held up by one call for each.
 * Resolves and throws by the one file alone. Others are pushed also where that one is bad: the server asks for no other before it.
 */
export function pushWal(pipeline: Pipeline, path: string, options: WalPushOptions): Promise<WalPushed> {
  return withSession(pipeline, options.signal, async (session) => {
    walFileOf(pipeline, basename(path));
    const queue = await openQueue(session, path, options.place);
    const tried = new Set<string>();
    let result: PushedFile | undefined;
    let failure: PgsiloError | undefined;
    let stopped = false;
    let good = 0;
    const push = async (each: string, share: number): Promise<void> => {
      if (stopped) return;
      const name = basename(each);
      try {
        const pushed = await pushFile(session, each, share);
        if (each === path) result = pushed;
        else {
          good += 1;
          await note(session, queue!, pushed);
          options.onOther?.(pushed);
        }
      } catch (thrown) {
        const error = toPgsiloError(thrown, 'sink.failed');
        stopped ||= !ownFault.has(error.code);
        if (each !== path) options.onOther?.({ name, error });
        else if (tried.size > 0)
          pipeline.log.warn(`${name} is not archived: ${error.message}`, { code: error.code });
        if (each === path) failure = error;
      }
    };
    for (let first = true; ; first = false) {
      const others = queue ? await nextOf(session, queue, mostOthers - good, tried) : [];
      const files = first ? [path, ...others] : others;
      if (files.length === 0) break;
      for (const other of others) tried.add(other);
      const width = Math.min(files.length, Math.max(1, pipeline.limits.jobs));
      await eachLimited(files, width, (each) => push(each, 1 / width));
      throwIfAborted(session.signal);
      if (stopped || good >= mostOthers || tried.size >= mostTried || good === tried.size) break;
    }
    if (failure) throw failure;
    return { name: result!.name, sinks: result!.sinks };
  });
}

async function openQueue(
  { pipeline }: EngineSession,
  path: string,
  place: string | undefined,
): Promise<WalQueue | undefined> {
  return place === undefined ? undefined : pipeline.source.source.wal!.waiting?.(path, place);
}

async function nextOf(
  { pipeline }: EngineSession,
  queue: WalQueue,
  most: number,
  tried: ReadonlySet<string>,
): Promise<readonly string[]> {
  try {
    return await queue.next(most, tried);
  } catch (error) {
    pipeline.log.warn('what else waits to be archived cannot be looked at', { error: String(error) });
    return [];
  }
}

/** Only here, where every required sink has it. Without a note it is found in the sinks when the server asks. */
async function note(
  { pipeline }: EngineSession,
  queue: WalQueue,
  { name, sha256 }: PushedFile,
): Promise<void> {
  try {
    await queue.note(name, sha256);
  } catch (error) {
    pipeline.log.debug(`no note on ${name} was left`, { error: String(error) });
  }
}
