import { chown, mkdir, readdir, rm, stat, statfs } from 'node:fs/promises';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { PgsiloError } from '@pgsilo/plugin';

/** A folder that files are to be restored into. */
export interface TargetFolder {
  /** Absolute. */
  readonly path: string;
  /** Whether it is there already, empty. */
  readonly exists: boolean;
  /** Whom the files will belong to; undefined: to who restores, because only root can give files away. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
  /** The file system that it lies on. */
  readonly device: number;
  readonly freeBytes: number;
}

/** Looks at a folder and changes nothing. Throws `restore.target-not-empty`, `restore.target-exists` for what is no folder. */
export async function lookAtFolder(given: string): Promise<TargetFolder> {
  const path = resolve(given);
  const found = await there(path);
  if (found && !found.isDirectory())
    throw new PgsiloError('restore.target-exists', `${path} is there and is no folder`, {
      hint: 'Name a folder that is empty or not there.',
    });
  if (found && (await readdir(path)).length > 0)
    throw new PgsiloError('restore.target-not-empty', `the folder ${path} is not empty`, {
      hint: 'Name a folder that is empty or not there: files of a server are never put among others.',
    });
  const nearest = found ? path : await nearestFolder(dirname(path));
  const { uid, gid, dev } = await stat(nearest);
  const { bavail, bsize } = await statfs(nearest);
  return {
    path,
    exists: found !== undefined,
    owner: process.getuid?.() === 0 ? { uid, gid } : undefined,
    device: dev,
    freeBytes: bavail * bsize,
  };
}

async function there(path: string): Promise<Awaited<ReturnType<typeof stat>> | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw new PgsiloError('restore.denied', `cannot look at ${path}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

async function nearestFolder(path: string): Promise<string> {
  return (await there(path)) || path === dirname(path) ? path : nearestFolder(dirname(path));
}

/** Makes it where it is not there; a server takes no data directory that others may look into. */
export async function makeFolder({ path, exists, owner }: TargetFolder): Promise<void> {
  if (exists) return;
  await mkdir(dirname(path), { recursive: true });
  await mkdir(path, { mode: 0o700 });
  if (owner) await chown(path, owner.uid, owner.gid);
}

/** Removes all that was put into it. */
export async function emptyFolder({ path, exists }: TargetFolder): Promise<void> {
  if (!exists) return rm(path, { recursive: true, force: true });
  for (const name of await readdir(path, { encoding: 'buffer' }))
    await rm(Buffer.concat([Buffer.from(`${path}/`), name]), { recursive: true, force: true });
}

/** Throws `restore.refused` where one lies in another, or two are one. */
export function requireApart(folders: readonly TargetFolder[]): void {
  const paths = folders.map(({ path }) => join(path, '/'));
  for (const [at, path] of paths.entries()) {
    const other = paths.find((one, index) => index !== at && path.startsWith(one));
    if (other !== undefined)
      throw new PgsiloError('restore.refused', `${path} lies in ${other}, and both are to be restored into`, {
        hint: 'Give each tablespace a folder of its own, outside the data directory: --tablespace OLD=NEW.',
      });
  }
}

/** Throws `restore.refused` where a disk has too little room. @param needs bytes, for each of the folders. */
export function requireRoom(
  needs: readonly { readonly folder: TargetFolder; readonly bytes: number }[],
): void {
  const disks = Map.groupBy(needs, ({ folder }) => folder.device);
  for (const [first, ...rest] of disks.values()) {
    const wanted = [first!, ...rest].reduce((sum, { bytes }) => sum + bytes, 0);
    const { path, freeBytes } = first!.folder;
    if (wanted > freeBytes)
      throw new PgsiloError(
        'restore.refused',
        `the disk of ${path} has ${megabytes(freeBytes)} left, and the files take ${megabytes(wanted)}`,
        { hint: 'Make room, or name a folder on another disk.' },
      );
  }
}

/** `1,234 MB` */
export function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1e6).toLocaleString('en-US')} MB`;
}

/** A new folder for each tablespace. Throws `restore.no-match` for an old one that the backup does not have. */
export function mapTablespaces<Tablespace extends { readonly location: string }>(
  tablespaces: readonly Tablespace[],
  given: Readonly<Record<string, string>>,
): ReadonlyMap<Tablespace, string> {
  const known = new Set(tablespaces.map(({ location }) => location));
  const wrong = Object.keys(given).find((old) => !known.has(old));
  if (wrong !== undefined)
    throw new PgsiloError('restore.no-match', `no tablespace of the backup is in ${JSON.stringify(wrong)}`, {
      hint: known.size === 0 ? 'It has none.' : `They are in: ${[...known].join(', ')}.`,
    });
  return new Map(
    tablespaces.map((one) => {
      const path = given[one.location] ?? one.location;
      return [one, isAbsolute(path) ? path : resolve(path)];
    }),
  );
}
