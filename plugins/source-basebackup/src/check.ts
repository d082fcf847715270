import type { CheckResult, Context } from '@pgsilo/plugin';
import {
  checkWithSession, describeTool, failed, openReplication, plural, showName, type Session,
} from '@pgsilo/postgres'; // prettier-ignore
import { readClusterMap, requireVersion } from './cluster-map.ts';
import { readServerFiles } from './server-files.ts';
import type { SourceSetup } from './setup.ts';
import { findVerifier } from './verify-program.ts';

/** What `pgsilo doctor` says about server, role, settings and programs. */
export function checkSource(setup: SourceSetup, context: Context): AsyncGenerator<CheckResult> {
  return checkWithSession(setup.settings, context, (session) => look(setup, session, context));
}

async function* look(setup: SourceSetup, session: Session, context: Context): AsyncGenerator<CheckResult> {
  try {
    requireVersion(session);
  } catch (error) {
    yield failed('base backup', error);
    return;
  }
  yield* checkReplication(session, context);
  yield* checkChecksums(session);
  yield* checkTablespaces(session);
  yield* checkConfiguration(session, context);
  yield await checkVerifier(setup, session, context);
}

/** By connecting as a backup does: that finds a missing line in pg_hba.conf and walsenders that are all taken, too. */
async function* checkReplication(session: Session, { signal }: Context): AsyncGenerator<CheckResult> {
  const name = 'replication';
  let system = '';
  try {
    const replication = await openReplication(session.settings, {
      applicationName: 'pgsilo check',
      purpose: 'connect for replication',
      signal,
    });
    try {
      const take = (_result: number, row: Readonly<Record<string, string | null>>): void => {
        system = row['systemid'] ?? '';
      };
      for await (const _ of replication.stream('IDENTIFY_SYSTEM', take));
    } finally {
      await replication.close();
    }
  } catch (error) {
    const found = failed(name, error);
    yield {
      ...found,
      hint: `${found.hint ?? ''} It takes a role with REPLICATION, a line for the database "replication" in pg_hba.conf, and a free one of max_wal_senders.`.trim(),
    };
    return;
  }
  const [row] = await session.query<{ level: string; pages: boolean; standby: boolean }>(
    `SELECT current_setting('wal_level') AS level, current_setting('full_page_writes') = 'on' AS pages, pg_is_in_recovery() AS standby`,
  );
  yield { name, status: 'ok', message: `the server lets us copy its files (system ${system})` };
  if (row!.level === 'minimal')
    yield {
      name: 'wal_level',
      status: 'failed',
      message: 'wal_level is minimal: a base backup could not be recovered',
      hint: 'Set wal_level = replica, and restart the server.',
    };
  if (row!.standby && !row!.pages)
    yield {
      name: 'full_page_writes',
      status: 'failed',
      message: 'the server is a standby with full_page_writes off, and its backups would be refused',
      hint: 'Set full_page_writes = on, on the primary too.',
    };
}

async function* checkChecksums(session: Session): AsyncGenerator<CheckResult> {
  const [row] = await session.query<{ on: boolean }>(
    `SELECT current_setting('data_checksums') = 'on' AS "on"`,
  );
  const name = 'page checksums';
  yield row!.on
    ? { name, status: 'ok', message: 'the server verifies each page that it sends' }
    : {
        name,
        status: 'warning',
        message: 'the cluster has no page checksums: a damaged file is backed up without a word',
        hint: 'Stop the server and run pg_checksums --enable.',
      };
}

/** What a link in a tar has room for, in bytes. */
const longestLink = 99;

async function* checkTablespaces(session: Session): AsyncGenerator<CheckResult> {
  const name = 'files';
  const { databases, tablespaces } = await readClusterMap(session);
  yield {
    name,
    status: 'ok',
    message: `${plural(databases.length, 'database')}, ${plural(tablespaces.length, 'tablespace')}`,
  };
  for (const { location, name: tablespace, oid } of tablespaces)
    if (Buffer.byteLength(location) > longestLink)
      yield {
        name,
        status: 'failed',
        message: `the folder of tablespace ${showName(tablespace ?? oid)} has a path of more than ${longestLink} bytes, and no base backup has room for it`,
        hint: 'Move the tablespace to a folder with a shorter path.',
      };
}

async function* checkConfiguration(session: Session, context: Context): AsyncGenerator<CheckResult> {
  const name = 'configuration';
  const silent = { ...context.log, warn: () => undefined };
  const { files, problem } = await readServerFiles(session, { log: silent });
  yield problem === undefined
    ? { name, status: 'ok', message: `${plural(files.size, 'file')} of settings and access rules` }
    : {
        name,
        status: 'warning',
        message: `not all of the server's configuration can be read, so that files outside the data directory are not backed up: ${problem}`,
        hint: 'GRANT pg_read_server_files, pg_read_all_settings, and EXECUTE on the functions of pg_file_settings, pg_hba_file_rules and pg_ident_file_mappings, or connect as a superuser.',
      };
}

async function checkVerifier(
  setup: SourceSetup,
  session: Session,
  { signal }: Context,
): Promise<CheckResult> {
  const found = await findVerifier(setup, session.serverVersion, signal);
  return typeof found === 'string'
    ? {
        name: 'pg_verifybackup',
        status: 'warning',
        message: `restored files are not compared by their checksums here: ${found}`,
        hint: `Install the client programs of PostgreSQL ${session.major} where backups are restored, or set bin: to their folder.`,
      }
    : describeTool(found);
}
