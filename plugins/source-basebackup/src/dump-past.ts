import { createReadStream } from 'node:fs';
import { link, lstat, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { randomBytes } from 'node:crypto';
import { PgsiloError, type Context } from '@pgsilo/plugin';
import {
  childConnection, isData, openSession, parseConnection, produce, provedByTool, readToc, showName, type RunningServer, type Tool,
} from '@pgsilo/postgres'; // prettier-ignore
import { flushOne } from './flush.ts';

export interface DumpTools {
  readonly dump: Tool;
  readonly restore: Tool;
}

export interface DumpPast {
  readonly server: RunningServer;
  readonly database: string;
  readonly tools: DumpTools;
  /** The new file. */
  readonly file: string;
  /** A role that was there when the backup was made. */
  readonly user: string;
}

export interface DumpedDatabase {
  readonly tables: number;
}

const applicationName = 'pgsilo restore';

/** Throws `restore.target-exists`. */
export async function refuseFile(file: string): Promise<void> {
  if ((await lstat(file).catch(() => undefined)) === undefined) return;
  throw new PgsiloError('restore.target-exists', `${file} is there already`, {
    hint: 'Name a file that is not there: --dump FILE.',
  });
}

/** Dumps a database of a server of our own into a new file, which is seen only when it is whole, and reads it to its end. */
export async function dumpPast(past: DumpPast, context: Context): Promise<DumpedDatabase> {
  const { server, database, tools, file } = past;
  const settings = { ...parseConnection(server.connection, {}), user: await superuserOf(past, context) };
  const connection = childConnection(settings, database, applicationName);
  const aside = `${file}.${randomBytes(6).toString('hex')}.part`;
  try {
    const into = await open(aside, 'wx', 0o600);
    try {
      const body = produce(tools.dump, ['--format=custom', '--no-password', connection.argument], {
        doing: `pg_dump of database ${showName(database)}`,
        env: connection.env,
        signal: context.signal,
        onStderr: (line) => context.log.warn(line, { database }),
      });
      for await (const chunk of body)
        for (let at = 0; at < chunk.length;)
          at += (await into.write(chunk, at, chunk.length - at)).bytesWritten;
      await into.sync();
    } finally {
      await into.close();
    }
    const { entries } = await readToc(createReadStream(aside));
    const { signal, log } = context;
    const proof = { tool: tools.restore, signal, onStderr: (line: string) => log.warn(line, { database }) };
    for await (const _ of provedByTool(createReadStream(aside), proof)) continue;
    await link(aside, file).catch((error: unknown) => {
      throw (error as NodeJS.ErrnoException).code === 'EEXIST'
        ? new PgsiloError('restore.target-exists', `${file} was made meanwhile`, { cause: error })
        : error;
    });
    await flushOne(dirname(file));
    return { tables: entries.filter(isData).length };
  } finally {
    await rm(aside, { force: true });
  }
}

/** A role that may read everything. What it is called only the server itself knows, and any role may ask. */
async function superuserOf({ server, database, user }: DumpPast, { signal }: Context): Promise<string> {
  const settings = { ...parseConnection(server.connection, {}), user };
  const session = await openSession(settings, {
    database,
    applicationName,
    purpose: 'look for a superuser',
    signal,
  });
  try {
    const [found] = await session.query<{ name: string }>(
      'SELECT rolname::text AS name FROM pg_roles WHERE rolsuper AND rolcanlogin ORDER BY oid LIMIT 1',
    );
    if (found) return found.name;
    throw new PgsiloError('restore.failed', 'the server of the past has no superuser that may log in');
  } finally {
    await session.close();
  }
}
