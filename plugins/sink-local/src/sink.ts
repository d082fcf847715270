import { chmod, constants, open, unlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { isPgsiloError, throwIfAborted } from '@pgsilo/plugin';
import type { Body, Context, RetainedObject, Setup, Sink, StoredObject } from '@pgsilo/plugin';
import { writeBody } from './body-writer.ts';
import { checkFolder } from './check.ts';
import { attempt } from './errors.ts';
import { Folders } from './folders.ts';
import { partName, sweepLeftovers } from './leftovers.ts';
import { listObjects } from './list.ts';
import type { Options } from './options.ts';
import { existsAlready, Publisher } from './publish.ts';
import type { PublishBy } from './publish.ts';
import { readObject } from './read.ts';
import { removeObjects } from './remove.ts';
import { notFound, Tree } from './tree.ts';

/** @param by how whole files get their names, for tests; else found out. */
export function createLocalSink(options: Options, setup: Pick<Setup, 'folder'>, by?: PublishBy): Sink {
  const tree = new Tree(resolve(setup.folder, options.path));
  const folders = new Folders(tree, options.fsync);
  const publisher = new Publisher(tree, folders, by);
  /** Whether the umask leaves files as they are asked for; undefined: none was made yet. */
  let exactModes: boolean | undefined;

  const sink: Sink = {
    async put(key, body, _hint, context) {
      throwIfAborted(context.signal);
      return await putOne(key, body, context).catch(async (error: unknown) => {
        // Which call first meets a root that is gone is chance; what is said of it is not.
        if (isPgsiloError(error) && error.code === 'sink.failed') await tree.hasRoot();
        throw error;
      });
    },
    get: (key, range, context) => readObject(tree, key, range, context),
    async stat(key, context) {
      throwIfAborted(context.signal);
      const found = await tree.look(key);
      if (found === undefined) throw notFound(key);
      return { key, bytes: found.size, modified: found.mtime };
    },
    list: (prefix, context) => listObjects(tree, prefix, context),
    async remove(keys, context): Promise<readonly RetainedObject[]> {
      await removeObjects(tree, folders, keys, context);
      return [];
    },
    place: () => tree.place(),
    check: (context) => checkFolder(tree, publisher, sink, context),
    async settle(key, context) {
      throwIfAborted(context.signal);
      await folders.settle(dirname(tree.path(key)));
    },
    async close() {
      await folders.prune(tree.writing);
    },
    async sweep(_prefix, before, context) {
      throwIfAborted(context.signal);
      return sweepLeftovers(tree, before);
    },
  };

  async function putOne(key: string, body: Body, context: Context): Promise<StoredObject> {
    await folders.ensure(tree.writing);
    const isFolder = await folders.mustBeWritable(dirname(tree.path(key)));
    // When the root is gone, the folder for unfinished objects is too, and the part cannot be created.
    if (!isFolder) await tree.hadRoot();
    else if (await tree.look(key, 'had')) throw existsAlready(key);
    const part = join(tree.writing, partName());
    try {
      const bytes = await write(part, body, context);
      throwIfAborted(context.signal);
      await publisher.publish(part, key);
      return { bytes };
    } finally {
      await unlink(part).catch((error: unknown) => leftBehind(error, part, context));
    }
  }

  async function write(part: string, body: Body, context: Context): Promise<number> {
    const file = await create(part);
    try {
      const bytes = await writeBody(file, part, body, context);
      if (options.fsync) await attempt(`bring ${part} to the disk`, file.sync());
      return bytes;
    } finally {
      // Quotas and network file systems may refuse as late as here.
      await attempt(`close ${part}`, file.close());
    }
  }

  async function create(part: string): Promise<FileHandle> {
    const flags = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW;
    for (let left = 10; ; left -= 1) {
      try {
        const file = await open(part, flags, 0o600);
        exactModes ??= ((await file.stat()).mode & 0o777) === 0o600;
        if (!exactModes) await chmod(part, 0o600).catch(() => {});
        return file;
      } catch (error) {
        if (left === 0 || !(error instanceof Error && 'code' in error && error.code === 'ENOENT')) {
          return attempt(`create ${part}`, Promise.reject(error));
        }
        folders.forget(tree.writing);
        await folders.ensure(tree.writing);
      }
    }
  }

  return sink;
}

function leftBehind(error: unknown, part: string, context: Context): void {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return;
  context.log.warn(`an unfinished object was left at ${part}`, { cause: String(error) });
}
