import { randomBytes } from 'node:crypto';
import { stat, statfs } from 'node:fs/promises';
import { PgsiloError } from '@pgsilo/plugin';
import type { CheckResult, Context, Sink } from '@pgsilo/plugin';
import { attempt, translate } from './errors.ts';
import { fileSystemKind } from './file-system-kind.ts';
import type { Publisher } from './publish.ts';
import type { Tree } from './tree.ts';

const littleFree = 1e9;

/** Proves by trying, and tells what a person should know about the place. */
export async function* checkFolder(
  tree: Tree,
  publisher: Publisher,
  sink: Sink,
  context: Context,
): AsyncGenerator<CheckResult> {
  const failure = await tryOut(sink, context);
  if (failure) {
    const hint = failure.hint === undefined ? {} : { hint: failure.hint };
    yield { name: 'write access', status: 'failed', message: failure.message, ...hint };
    return;
  }
  yield {
    name: 'write access',
    status: 'ok',
    message: `wrote, read, listed and removed an object in ${tree.root}`,
  };
  yield {
    name: 'create-only',
    status: 'ok',
    message:
      publisher.by === 'link'
        ? 'published by hard link'
        : 'no hard links here: published by an exclusive claim and rename',
  };
  yield* checkFileSystem(tree);
  yield* checkMode(tree);
}

async function tryOut(sink: Sink, context: Context): Promise<PgsiloError | undefined> {
  const folder = `pgsilo-check-${randomBytes(8).toString('hex')}/`;
  const key = `${folder}object`;
  const content = randomBytes(64);
  try {
    try {
      await sink.put(key, one(content), { kind: 'note' }, context);
      const again = await sink
        .put(key, one(content), { kind: 'note' }, context)
        .catch((error: unknown) => error);
      if (!(again instanceof PgsiloError && again.code === 'sink.exists')) {
        throw new PgsiloError('sink.failed', 'a second object of the same key was not refused');
      }
      const pieces: Uint8Array[] = [];
      for await (const piece of sink.get(key, undefined, context)) pieces.push(piece);
      if (!Buffer.concat(pieces).equals(content))
        throw new PgsiloError('sink.corrupt', 'what was read is not what was written');
      const keys: string[] = [];
      for await (const found of sink.list(folder, context)) keys.push(found.key);
      if (keys.length !== 1 || keys[0] !== key)
        throw new PgsiloError('sink.failed', 'a written object was not listed');
    } finally {
      await sink.remove([key], context);
    }
    return undefined;
  } catch (error) {
    return translate(error, 'try the folder out');
  }
}

async function* one(content: Uint8Array): AsyncGenerator<Uint8Array> {
  yield content;
}

async function* checkFileSystem(tree: Tree): AsyncGenerator<CheckResult> {
  const found = await attempt(`look at the file system of ${tree.root}`, statfs(tree.root));
  const kind = fileSystemKind(found.type);
  if (kind.warning === undefined) yield { name: 'file system', status: 'ok', message: kind.name };
  else
    yield {
      name: 'file system',
      status: 'warning',
      message: `${kind.name}: ${kind.warning}`,
      hint: 'Choose a folder on a disk.',
    };
  const free = found.bavail * found.bsize;
  const message = `${(free / 1e9).toFixed(1)} GB of ${((found.blocks * found.bsize) / 1e9).toFixed(1)} GB free`;
  if (free < littleFree)
    yield { name: 'free space', status: 'warning', message, hint: 'Free space there before the next run.' };
  else yield { name: 'free space', status: 'ok', message };
}

/** Objects are readable by their owner alone; a folder that all may write to lets others remove or plant them. */
async function* checkMode(tree: Tree): AsyncGenerator<CheckResult> {
  const { mode } = await attempt(`look at ${tree.root}`, stat(tree.root));
  if ((mode & 0o022) === 0) return;
  yield {
    name: 'permissions',
    status: 'warning',
    message: `others may write to ${tree.root} (mode ${(mode & 0o777).toString(8)})`,
    hint: `chmod go-w ${tree.root}`,
  };
}
