import { readFile, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Session } from '@pgsilo/postgres';

/** How far the two times of a server's start may lie apart, in seconds: one is taken a moment after the other. */
const apart = 60;

/** Bytes that are free on the disk of the server's log. Undefined where it is not proved that this folder here is the server's, or it may not be looked at. */
export async function freeOfLog(session: Session): Promise<number | undefined> {
  const [row] = await session.query<{ folder: string | null; port: number; started: number }>(
    `SELECT (SELECT setting FROM pg_settings WHERE name = 'data_directory') AS folder, current_setting('port')::int4 AS port,
            extract(epoch FROM pg_postmaster_start_time())::float8 AS started`,
  );
  const { folder, port, started } = row!;
  if (!folder) return undefined;
  try {
    // Also a server on another host has such a folder, and a tunnel makes it look like one of this host. Its lock file tells port and start.
    const lines = (await readFile(join(folder, 'postmaster.pid'), 'utf8')).split('\n');
    if (Number(lines[3]) !== port || !(Math.abs(Number(lines[2]) - started) <= apart)) return undefined;
    const { bavail, bsize } = await statfs(join(folder, 'pg_wal'));
    return bavail * bsize;
  } catch {
    return undefined;
  }
}
