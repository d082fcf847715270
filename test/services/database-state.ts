import { execa } from 'execa';
import { conninfo } from '@pgsilo/postgres';
import type { TestServer } from './server.ts';

/** A database as PostgreSQL's own means show it, to be compared with a copy of it on the same server. */
export interface DatabaseState {
  /** What `pg_dump` writes, in the database's own encoding, one character for each byte: nothing is converted, and no two different bytes look alike. */
  readonly dump: string;
  /** Encoding, provider, locales, limits: whatever columns the version has, without what differs between any two databases. */
  readonly row: object;
  /** Also what holds when nobody has granted anything. */
  readonly grants: readonly string[];
  readonly settings: readonly string[];
}

export async function databaseStateOf(server: TestServer, database: string): Promise<DatabaseState> {
  const [found] = await server.query<Omit<DatabaseState, 'dump'>>(
    'postgres',
    `SELECT to_jsonb(d) - '{oid,datname,datacl,datfrozenxid,datminmxid}'::text[] AS row,
       (SELECT array_agg(item::text ORDER BY item::text) FROM unnest(coalesce(datacl, acldefault('d', datdba))) item) AS grants,
       (SELECT array_agg(setrole::regrole || ' ' || setconfig::text ORDER BY setrole) FROM pg_db_role_setting WHERE setdatabase = d.oid) AS settings
     FROM pg_database d WHERE datname = $1`,
    [database],
  );
  if (!found) throw new Error(`there is no database ${database}`);
  return { ...found, dump: await dumpOf(server, database) };
}

async function dumpOf(server: TestServer, database: string): Promise<string> {
  const { stdout } = await execa(
    `${server.bin}/pg_dump`,
    ['--no-password', '--restrict-key=x', `--dbname=${conninfo({ dbname: database })}`],
    {
      env: {
        PGHOST: server.host,
        PGPORT: String(server.port),
        PGUSER: server.user,
        PGPASSWORD: server.password,
      },
      encoding: 'latin1',
      maxBuffer: 500e6,
    },
  );
  if (!stdout.includes('PostgreSQL database dump complete'))
    throw new Error(`pg_dump of ${database} is not whole`);
  return stdout;
}
