import { stat, statfs } from 'node:fs/promises';
import { tryOutSink } from '@pgsilo/plugin';
import type { CheckResult, Context, Sink } from '@pgsilo/plugin';
import { attempt } from './errors.ts';
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
  const trial = await tryOutSink(sink, context);
  if (trial.status !== 'ok') {
    yield trial;
    return;
  }
  yield { ...trial, message: `wrote, read, listed and removed an object in ${tree.root}` };
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
