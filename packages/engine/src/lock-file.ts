import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PgsiloError } from '@pgsilo/plugin';
import type { LockAttempt } from '@pgsilo/plugin';
import { isGone, ownIdentity } from '@pgsilo/plugin/process-identity';

interface LockRecord {
  readonly process: string;
  readonly holder: string;
  readonly since: Date;
}

/**
 * The run lock of sources that have none of their own: a file, good for one machine. It appears whole (`link`), so nobody reads half of it;
 * one whose writer is proved gone is taken away by renaming, so that of several that want it only one gets it.
 */
export async function takeLockFile(folder: string, name: string, holder: string): Promise<LockAttempt> {
  const path = join(folder, `pgsilo-${name}.lock`);
  const aside = join(folder, `pgsilo-${name}.${randomBytes(6).toString('hex')}`);
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await writeFile(
      aside,
      JSON.stringify({ process: ownIdentity(), holder, since: new Date().toISOString() }),
      { mode: 0o600, flag: 'wx' },
    );
    if (await publish(aside, path)) return held(path);
    const found = await readRecord(path);
    if (!found || !isGone(found.process)) return lockedBy(found, path);
    return (await takeAway(path, `${aside}.old`)) && (await publish(aside, path))
      ? held(path)
      : lockedBy(await readRecord(path), path);
  } catch (error) {
    throw new PgsiloError(
      'scratch.full',
      `the lock file ${path} cannot be written: ${(error as Error).message}`,
      { cause: error },
    );
  } finally {
    await rm(aside, { force: true });
  }
}

function held(path: string): LockAttempt {
  return { held: true, lost: new AbortController().signal, release: () => rm(path, { force: true }) };
}

function lockedBy(record: LockRecord | undefined, path: string): LockAttempt {
  return { held: false, holder: record?.holder ?? `the owner of ${path}`, since: record?.since };
}

async function publish(aside: string, path: string): Promise<boolean> {
  try {
    await link(aside, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Removes a dead process's lock; gives it back when another was quicker and it is a living one by now. */
async function takeAway(path: string, old: string): Promise<boolean> {
  try {
    await rename(path, old);
  } catch {
    return false;
  }
  const taken = await readRecord(old);
  const dead = taken !== undefined && isGone(taken.process);
  if (!dead) await publish(old, path);
  await rm(old, { force: true });
  return dead;
}

async function readRecord(path: string): Promise<LockRecord | undefined> {
  try {
    const found = JSON.parse(await readFile(path, 'utf8')) as {
      process: unknown;
      holder: unknown;
      since: string;
    };
    return {
      process: String(found.process),
      holder: String(found.holder),
      since: new Date(found.since),
    };
  } catch {
    return undefined;
  }
}
