import { randomBytes } from 'node:crypto';
import type { Body, CheckResult, Context } from './context.ts';
import { isPgsiloError, PgsiloError, throwIfAborted, toPgsiloError } from './errors.ts';
import type { Sink } from './sink.ts';

/**
 * The part of `Sink.check` that is the same for every store: writes one small object, is refused a second one of the same key, reads, lists and removes it.
 * Leaves nothing behind. Throws only when the signal is aborted.
 */
export async function tryOutSink(sink: Sink, context: Context): Promise<CheckResult> {
  try {
    await writeReadRemove(sink, context);
    return {
      name: 'write access',
      status: 'ok',
      message: 'wrote, read, listed and removed an object; a second one of the same key was refused',
    };
  } catch (error) {
    throwIfAborted(context.signal);
    const { message, hint } = toPgsiloError(error, 'sink.failed');
    return { name: 'write access', status: 'failed', message, ...(hint === undefined ? {} : { hint }) };
  }
}

async function writeReadRemove(sink: Sink, context: Context): Promise<void> {
  const folder = `pgsilo-check-${randomBytes(8).toString('hex')}/`;
  const key = `${folder}object`;
  const content = randomBytes(64);
  const put = (): Promise<unknown> => sink.put(key, once(content), { kind: 'note' }, context);
  await put();
  try {
    const second = await put().then(
      () => undefined,
      (error: unknown) => error,
    );
    if (!(isPgsiloError(second) && second.code === 'sink.exists')) {
      const message = 'a second object of the same key was not refused with sink.exists';
      throw new PgsiloError('sink.failed', message, { cause: second });
    }
    const pieces: Uint8Array[] = [];
    for await (const piece of sink.get(key, undefined, context)) pieces.push(piece);
    if (!Buffer.concat(pieces).equals(content))
      throw new PgsiloError('sink.corrupt', 'what was read is not what was written');
    const keys: string[] = [];
    for await (const found of sink.list(folder, context)) keys.push(found.key);
    if (keys.length !== 1 || keys[0] !== key)
      throw new PgsiloError('sink.failed', 'an object that was written is not listed');
  } finally {
    await sink.remove([key], context);
  }
}

async function* once(content: Uint8Array): Body {
  yield content;
}
