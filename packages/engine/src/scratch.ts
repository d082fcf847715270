import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PgsiloError } from '@pgsilo/plugin';
import { isGone, ownIdentity } from '@pgsilo/plugin/process-identity';

const folderForm = /^pgsilo-scratch-[0-9a-f]{12}$/;
const ownerFile = 'owner';

/** One run's folder for what must be on disk for a while. */
export interface Scratch {
  /** The folder (0700), made at the first call. Throws `scratch.full` when the disk has fewer than `bytes` left. */
  folder(bytes?: number): Promise<string>;
  remove(): Promise<void>;
}

/** @param root the pipeline's `scratch:` */
export function openScratch(root: string): Scratch {
  let made: Promise<string> | undefined;
  return {
    async folder(bytes = 0) {
      made ??= makeFolder(root);
      const path = await made;
      const disk = await statfs(path);
      const free = disk.bavail * disk.bsize;
      if (free < bytes) {
        throw new PgsiloError(
          'scratch.full',
          `${root} has ${inMegabytes(free)} free, and ${inMegabytes(bytes)} are needed`,
          {
            hint: 'Set `scratch:` to a larger disk.',
          },
        );
      }
      return path;
    },
    async remove() {
      const path = await made?.catch(() => undefined);
      if (path) await rm(path, { recursive: true, force: true });
    },
  };
}

/** Rounded up: what is needed must never look like what is there. */
function inMegabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1e6).toLocaleString('en-US')} MB`;
}

async function makeFolder(root: string): Promise<string> {
  try {
    await mkdir(root, { recursive: true, mode: 0o700 });
    await sweepScratch(root);
    const path = join(root, `pgsilo-scratch-${randomBytes(6).toString('hex')}`);
    await mkdir(path, { mode: 0o700 });
    await writeFile(join(path, ownerFile), ownIdentity(), { mode: 0o600 });
    return path;
  } catch (error) {
    throw new PgsiloError(
      'scratch.full',
      `no scratch folder can be made in ${root}: ${(error as Error).message}`,
      {
        cause: error,
        hint: 'Set `scratch:` to a folder that this user may write to.',
      },
    );
  }
}

/** Removes the folders of processes that are proved gone. */
async function sweepScratch(root: string): Promise<void> {
  for (const name of await readdir(root)) {
    if (!folderForm.test(name)) continue;
    const owner = await readFile(join(root, name, ownerFile), 'utf8').catch(() => '');
    if (isGone(owner)) await rm(join(root, name), { recursive: true, force: true });
  }
}
