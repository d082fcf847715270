import type { Body } from '@pgsilo/plugin';

const magic = 'PGDMP';
const headBytes = magic.length + 2;
/** Oldest and newest minor version of format 1 that is read: pg_dump 8.4 on wrote 1.11, supported servers' 1.14, 17 and 18's 1.16. */
const oldestMinor = 12;
const newestMinor = 16;

/** For messages. */
export const versionsRead: string = `1.${oldestMinor} to 1.${newestMinor}`;

/** Whether archives of this format version are understood. Each version adds fields to entries, so that a later one cannot be guessed at. */
export function readsVersion(major: number, minor: number): boolean {
  return major === 1 && minor >= oldestMinor && minor <= newestMinor;
}

export interface BegunArchive {
  /** All of it. To be read, or given up by its `return()`. */
  readonly body: AsyncIterableIterator<Uint8Array>;
  /** Its format version, where it is an archive that is not understood: `1.17`. */
  readonly unread: string | undefined;
}

/** Looks at the first bytes of an archive. Throws what the body throws. */
export async function beginArchive(archive: Body): Promise<BegunArchive> {
  const source = archive[Symbol.asyncIterator]();
  const held: Uint8Array[] = [];
  for (let bytes = 0; bytes < headBytes;) {
    const { done, value } = await source.next();
    if (done) break;
    held.push(value);
    bytes += value.byteLength;
  }
  const head = Buffer.concat(held).subarray(0, headBytes);
  const isArchive = head.length === headBytes && head.toString('latin1', 0, magic.length) === magic;
  const [major, minor] = [head[magic.length]!, head[magic.length + 1]!];
  const body: AsyncIterableIterator<Uint8Array> = {
    next: () => {
      const value = held.shift();
      return value ? Promise.resolve({ done: false, value }) : source.next();
    },
    return: async () => {
      await source.return?.();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
  return { body, unread: isArchive && !readsVersion(major, minor) ? `${major}.${minor}` : undefined };
}
