import { execa } from 'execa';
import pg from 'pg';
import type { TestServer } from './server.ts';

/** A database as text: what `pg_dump` writes of it, schema and data, without what differs from call to call. */
export async function textOf(server: TestServer, database: string): Promise<string> {
  const { stdout } = await execa(
    `${server.bin}/pg_dump`,
    ['--no-password', '--restrict-key=x', `--dbname=dbname='${database.replaceAll(/['\\]/g, '\\$&')}'`],
    {
      env: {
        PGHOST: server.host,
        PGPORT: String(server.port),
        PGUSER: server.user,
        PGPASSWORD: server.password,
      },
      maxBuffer: 500e6,
    },
  );
  if (!stdout.includes('PostgreSQL database dump complete'))
    throw new Error(`pg_dump of ${database} is not whole`);
  return stdout;
}

/** One line for each table: name, rows, a hash of all rows in the order of their text. Nothing of pgsilo takes part in it. */
export async function contentOf(server: TestServer, database: string): Promise<string[]> {
  const client = await server.session(database);
  try {
    const { rows: tables } = await client.query(
      `SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1, 2`,
    );
    if (tables.length === 0) throw new Error(`${database} holds no table: nothing would be compared`);
    const lines: string[] = [];
    for (const { nspname, relname } of tables) {
      const name = `${pg.escapeIdentifier(nspname)}.${pg.escapeIdentifier(relname)}`;
      const { rows } = await client.query(
        `SELECT count(*) AS n, coalesce(md5(string_agg(t::text, E'\\n' ORDER BY t::text COLLATE "C")), '') AS hash FROM ONLY ${name} t`,
      );
      lines.push(`${name} ${rows[0].n} ${rows[0].hash}`);
    }
    return lines;
  } finally {
    await client.end();
  }
}

/** What belongs to a database and stands in no dump of it: owner, grants, settings, comment, settings of roles in it. */
export async function settingsOf(server: TestServer, database: string): Promise<object> {
  const [row] = await server.query(
    'postgres',
    `SELECT pg_get_userbyid(datdba) AS owner, pg_encoding_to_char(encoding) AS encoding, datcollate, datctype, datconnlimit, datallowconn,
            (SELECT array_agg(item::text ORDER BY item::text) FROM unnest(datacl) item) AS grants,
            shobj_description(oid, 'pg_database') AS comment,
            (SELECT jsonb_object_agg(coalesce(nullif(setrole, 0)::regrole::text, ''), setconfig) FROM pg_db_role_setting WHERE setdatabase = d.oid) AS settings
     FROM pg_database d WHERE datname = $1`,
    [database],
  );
  if (!row) throw new Error(`there is no database ${database}`);
  return row;
}
