import { randomBytes } from 'node:crypto';
import { mkdir, open, opendir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { WalQueue } from '@pgsilo/plugin';
import { isWalFile } from './wal-names.ts';

/** Milliseconds after which what a killed call was writing is nobody's any more. */
const abandoned = 600_000;

/**
 * Files that the server has ready for its archive, by `archive_status` beside them, and our notes. Undefined for a file that lies elsewhere, or in the folder of another user: what root leaves there is in the server's way.
 * A note lies in the folder of the log itself: base backups do not take it along, and whoever may write there may do anything to the log anyway.
 */
export async function openQueue(path: string, place: string): Promise<WalQueue | undefined> {
  const folder = dirname(path);
  const status = join(folder, 'archive_status');
  let system: string;
  let started: number;
  try {
    if ((await stat(status)).uid !== process.geteuid?.()) return undefined;
    system = await readSystem(join(dirname(folder), 'global', 'pg_control'));
    started = (await stat(join(dirname(folder), 'postmaster.pid'))).mtimeMs;
  } catch {
    return undefined;
  }
  const notes = join(folder, notesFolder(system, place));
  return {
    async next(most, except) {
      const noted = await readNotes(notes, started);
      const waiting = new Set<string>();
      const oldest: string[] = [];
      for await (const { name } of await opendir(status)) {
        const file = name.endsWith('.ready') ? name.slice(0, -'.ready'.length) : '';
        if (!isWalFile(file)) continue;
        if (noted.has(file)) waiting.add(file);
        else if (file !== basename(path) && !except.has(join(folder, file))) insert(oldest, file, most);
      }
      // Handed out, or gone with the server's own log.
      for (const name of noted) if (!waiting.has(name)) await rm(join(notes, name), { force: true });
      return oldest.map((name) => join(folder, name));
    },
    async note(name, sha256) {
      await mkdir(notes, { recursive: true, mode: 0o700 });
      const aside = join(notes, `.${randomBytes(6).toString('hex')}`);
      try {
        // As sha256sum says it of its standard input.
        await writeFile(aside, `${sha256}  -\n`, { flag: 'wx', mode: 0o600 });
        await rename(aside, join(notes, name));
      } catch (error) {
        await rm(aside, { force: true });
        throw error;
      }
    },
  };
}

/** Relative to the folder of the log. */
function notesFolder(system: string, place: string): string {
  return join('pgsilo', `${system}-${place}`);
}

/**
 * For sh, in the data directory: true where a note says that the very bytes of the file are kept. It counts for this cluster, this pipeline and this start of the server, and only if nothing that it is about changed since.
 * Times alone could deceive, by a clock that was set back or a cluster that was copied: the bytes are hashed again. Where the shell or the machine lacks something of this, it is false, and the file is pushed.
 * @param newerThan quoted.
 */
export function noteTest(system: string, place: string, newerThan: string): string {
  const older = ['"%p"', 'postmaster.pid', newerThan].map((file) => `[ "$n" -nt ${file} ]`).join(' && ');
  return `n="pg_wal/${notesFolder(system, place)}/%f"; { ${older} && h=$(sha256sum 2>/dev/null < "%p") && [ "$h" = "$(cat "$n")" ]; }`;
}

/** Names of files with a note that is not older than the server's start; others are forgotten. */
async function readNotes(notes: string, started: number): Promise<Set<string>> {
  const found = new Set<string>();
  const names = await readdir(notes).catch(() => []);
  for (const name of names) {
    const time = await stat(join(notes, name)).then(
      ({ mtimeMs }) => mtimeMs,
      () => 0,
    );
    if (name.startsWith('.') ? Date.now() - time < abandoned : time > started) {
      if (!name.startsWith('.')) found.add(name);
    } else await rm(join(notes, name), { force: true });
  }
  return found;
}

/** Histories come first, as the server has it; then by timeline and position. */
function insert(oldest: string[], name: string, most: number): void {
  const rank = (one: string): string => (one.endsWith('.history') ? '0' : '1') + one;
  let at = oldest.length;
  while (at > 0 && rank(oldest[at - 1]!) > rank(name)) at -= 1;
  if (at >= most) return;
  oldest.splice(at, 0, name);
  if (oldest.length > most) oldest.pop();
}

/** What the cluster's control file begins with (`ControlFileData` in catalog/pg_control.h). */
async function readSystem(path: string): Promise<string> {
  const file = await open(path, 'r');
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(8), 0, 8, 0);
    if (bytesRead < 8) throw new Error(`${path} is cut`);
    return String(buffer.readBigUInt64LE(0));
  } finally {
    await file.close();
  }
}
