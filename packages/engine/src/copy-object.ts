import { createHash } from 'node:crypto';
import { isPgsiloError, PgsiloError } from '@pgsilo/plugin';
import type { Body, ObjectInfo } from '@pgsilo/plugin';
import { getDocument, getObject, putDocument, sinkPolicy } from './objects.ts';
import type { PipelineSink } from './pipeline.ts';
import { withRetry } from './retry.ts';
import type { EngineSession } from './session.ts';

export interface CopyRoute {
  readonly from: PipelineSink;
  readonly to: PipelineSink;
  /** Part of the memory budget for one object. */
  readonly share: number;
}

/** An object as its manifest knows it. */
export interface KnownObject {
  readonly key: string;
  readonly bytes: number;
  readonly sha256: string;
}

/**
 * Copies one object and proves it on the way: what does not hash to what the manifest says never becomes an object. One that is there already is read and hashed instead.
 * @returns the bytes that were sent: 0 when it was there.
 */
export async function copyObject(
  session: EngineSession,
  { from, to, share }: CopyRoute,
  object: KnownObject,
): Promise<number> {
  const policy = sinkPolicy(session, to, session.signal);
  return withRetry(policy, 'sink.failed', async () => {
    if (await isThere(session, to, object)) return 0;
    try {
      const { bytes } = await to.sink.put(
        object.key,
        session.throttled(
          to,
          proved(getObject(session, from, object.key, object.bytes), object, from),
          session.signal,
        ),
        { kind: 'artifact', estimatedBytes: object.bytes },
        session.context(share),
      );
      if (bytes === object.bytes) return bytes;
      throw new PgsiloError(
        'sink.corrupt',
        `sink ${to.name} stored ${bytes} of ${object.bytes} bytes of ${object.key}`,
      );
    } catch (error) {
      // Another copy was faster, or our own answer was lost.
      if (isPgsiloError(error) && error.code === 'sink.exists' && (await isThere(session, to, object)))
        return 0;
      throw error;
    }
  });
}

/** Copies a small object as it is. */
export async function copyDocument(
  session: EngineSession,
  { from, to }: CopyRoute,
  key: string,
  kind: 'manifest' | 'note',
): Promise<void> {
  const bytes = await getDocument(session, from, key);
  try {
    await putDocument(session, to, key, bytes, kind);
  } catch (error) {
    const exists = isPgsiloError(error) && error.code === 'sink.exists';
    if (!exists || !Buffer.from(await getDocument(session, to, key)).equals(bytes)) throw error;
  }
}

/** Whether the object is there. Throws `sink.corrupt` when another is in its place. */
async function isThere(session: EngineSession, to: PipelineSink, object: KnownObject): Promise<boolean> {
  let info: ObjectInfo;
  try {
    info = await to.sink.stat(object.key, session.context());
  } catch (error) {
    if (isPgsiloError(error) && error.code === 'sink.not-found') return false;
    throw error;
  }
  if (info.bytes !== object.bytes)
    throw different(object, to, `it has ${info.bytes} bytes and not ${object.bytes}`);
  for await (const _ of proved(getObject(session, to, object.key, object.bytes), object, to));
  return true;
}

/** The same body, which throws rather than end when it is not what the manifest says. */
async function* proved(body: Body, object: KnownObject, sink: PipelineSink): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  for await (const chunk of body) {
    hash.update(chunk);
    yield chunk;
  }
  if (hash.digest('hex') !== object.sha256) throw different(object, sink, 'its contents were altered');
}

function different(object: KnownObject, sink: PipelineSink, how: string): PgsiloError {
  return new PgsiloError(
    'sink.corrupt',
    `${object.key} in sink ${sink.name} is not what its manifest says: ${how}`,
    {
      hint: 'See what is whole where: `pgsilo verify FILE`.',
    },
  );
}
