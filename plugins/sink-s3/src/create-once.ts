import { DeleteObjectCommand, HeadObjectCommand } from '@aws-sdk/client-s3';
import { PgsiloError, throwIfAborted } from '@pgsilo/plugin';
import type { Context } from '@pgsilo/plugin';
import { brokeOff, nameOf, statusOf, translate } from './errors.ts';
import { withGrace } from './late-abort.ts';
import { writerOf } from './object-settings.ts';
import type { Store } from './store.ts';
import { versionsOf } from './versions.ts';

/** Milliseconds that each step still has once the call is aborted: together less than the 5 s of the contract. */
const grace = { request: 1_500, look: 1_000, removal: 1_000 } as const;
/** As often as the request is made when somebody else's is in its way. */
const attempts = 4;
/** Milliseconds between them. */
const pause = 250;

/** An object as its writer knows it. */
export interface Written {
  readonly key: string;
  readonly writer: string;
  readonly bytes: number;
  /** CRC-32 as the store would tell it, where it is known. */
  readonly checksum?: string | undefined;
}

interface Answer {
  readonly VersionId?: string | undefined;
}

/**
 * Sends the request that makes the object. Its answer may be lost, or be a refusal by the object that the SDK's first try has made: then the object is looked at, and it is ours if writer, size
 * and checksum are. A conflict with another writer is tried again until one of the two is known to have won. After an abort the object is removed again.
 */
export async function createOnce(
  store: Store,
  object: Written,
  doing: string,
  context: Context,
  request: (signal: AbortSignal) => Promise<Answer>,
): Promise<Answer> {
  const { signal } = context;
  throwIfAborted(signal);
  const made = await settled(store, object, doing, context, () => withGrace(signal, grace.request, request));
  const first = signal.aborted || (await isFirst(store, object.key, made.VersionId, signal));
  if (!signal.aborted && first) return made;
  await remove(store, object.key, made, signal);
  throwIfAborted(signal);
  throw exists(doing);
}

async function settled(
  store: Store,
  object: Written,
  doing: string,
  { signal, clock }: Context,
  request: () => Promise<Answer>,
): Promise<Answer> {
  for (let turn = 1; ; turn += 1) {
    try {
      return await request();
    } catch (error) {
      if (!mayHaveWorked(error)) {
        throwIfAborted(signal);
        throw translate(error, doing);
      }
      const found = await lookAt(store, object, doing, signal);
      if (found === 'another') {
        throwIfAborted(signal);
        throw exists(doing, translate(error, doing).cause);
      }
      if (found !== 'nothing') return found;
      throwIfAborted(signal);
      if (nameOf(error) !== 'ConditionalRequestConflict' || turn === attempts) throw translate(error, doing);
    }
    await clock.sleep(pause * turn, signal);
  }
}

/** No answer, a late one, or one that speaks of an object or of an upload that has become one. */
function mayHaveWorked(error: unknown): boolean {
  const status = statusOf(error);
  if (status === undefined) return brokeOff(error);
  return status >= 500 || status === 409 || status === 412 || nameOf(error) === 'NoSuchUpload';
}

async function lookAt(
  store: Store,
  { key, writer, bytes, checksum }: Written,
  doing: string,
  signal: AbortSignal,
): Promise<Answer | 'another' | 'nothing'> {
  const command = new HeadObjectCommand({
    ...store.at(key),
    ...(checksum === undefined ? {} : { ChecksumMode: 'ENABLED' }),
  });
  try {
    const found = await withGrace(signal, grace.look, (abortSignal) =>
      store.client.send(command, { abortSignal }),
    );
    const { Metadata, ContentLength, ChecksumCRC32, VersionId } = found;
    // Some tell that of the parts' checksums, some that of all bytes.
    const known = checksum !== undefined && ChecksumCRC32?.includes('-') === checksum.includes('-');
    const sameContent = ContentLength === bytes && (!known || ChecksumCRC32 === checksum);
    const by = writerOf(Metadata);
    // Without metadata, only equal checksums prove that it is not another's.
    const ours = by === undefined ? known && sameContent : by === writer && sameContent;
    return ours ? { VersionId } : 'another';
  } catch (error) {
    // Who may not look goes by what the request was told.
    if ([403, 404].includes(statusOf(error) ?? 0)) return 'nothing';
    throwIfAborted(signal);
    throw translate(error, doing);
  }
}

/** Whether no other version came before; of two writers that both were let in, the first stays. Where one may not look, the store is believed. */
async function isFirst(
  store: Store,
  key: string,
  id: string | undefined,
  signal: AbortSignal,
): Promise<boolean> {
  if (store.atomicVersions || id === undefined || id === 'null') return true;
  const found = await versionsOf(store, key, signal).catch(() => []);
  const hidden = Math.max(
    0,
    ...found.filter(({ marker }) => marker).map(({ modified }) => modified.getTime()),
  );
  // Newest first.
  const first = found.findLast(({ marker, modified }) => !marker && modified.getTime() > hidden);
  return first === undefined || first.id === id;
}

function exists(doing: string, cause?: unknown): PgsiloError {
  return new PgsiloError('sink.exists', `cannot ${doing}: there is an object of that key already`, {
    ...(cause === undefined ? {} : { cause }),
    hint: 'Objects are never overwritten.',
  });
}

async function remove(store: Store, key: string, { VersionId }: Answer, signal: AbortSignal): Promise<void> {
  const command = new DeleteObjectCommand({
    ...store.at(key),
    ...(VersionId === undefined ? {} : { VersionId }),
  });
  // An object under lock stays, and is garbage without a manifest.
  await withGrace(signal, grace.removal, (abortSignal) => store.client.send(command, { abortSignal })).catch(
    () => {},
  );
}
