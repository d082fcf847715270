import { existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const SERVER = ['initdb', 'pg_ctl', 'postgres'];
const CLIENT = ['psql', 'pg_dump', 'pg_dumpall', 'pg_restore'];

// Where the distributions put them; `*` stands for one folder name or a part of it.
const PLACES = [
  '/usr/lib/postgresql/*/bin',
  '/usr/pgsql-*/bin',
  '/usr/local/pgsql/bin',
  '/opt/homebrew/bin',
  '/opt/homebrew/opt/postgresql*/bin',
  '/opt/homebrew/opt/libpq/bin',
  '/usr/local/bin',
  '/usr/local/opt/postgresql*/bin',
  '/usr/local/opt/libpq/bin',
  '/Applications/Postgres.app/Contents/Versions/*/bin',
];

/** What to tell the user when PostgreSQL's programs are not all there. */
export function missingPostgres(environment = process.env, places = PLACES) {
  const folders = [
    ...(environment.PGSILO_PG_BIN ?? '').split(delimiter),
    ...(environment.PATH ?? '').split(delimiter),
    ...places.flatMap(expand),
  ].filter((folder) => folder !== '');
  const missing = (names) =>
    names.filter((name) => !folders.some((folder) => existsSync(join(folder, name))));
  const server = missing(SERVER);
  const client = missing(CLIENT);
  if (server.length + client.length === 0) return undefined;
  const parts = [
    ...(server.length > 0 ? [`server programs (${server.join(', ')})`] : []),
    ...(client.length > 0 ? [`client programs (${client.join(', ')})`] : []),
  ];
  return `PostgreSQL's ${parts.join(' and ')} were not found. Version 14 or later is needed. Install it with

  Debian, Ubuntu   sudo apt-get install postgresql postgresql-client
  RHEL, Fedora     sudo dnf install postgresql-server postgresql-contrib postgresql
  macOS            brew install postgresql@17

or set PGSILO_PG_BIN to the folder that holds them. No running server is needed: throwaway ones are started.`;
}

function expand(pattern) {
  const cut = pattern.indexOf('*');
  if (cut === -1) return [pattern];
  const parent = pattern.slice(0, pattern.lastIndexOf('/', cut));
  const [name, rest] = [
    pattern.slice(parent.length + 1).split('/', 1)[0],
    pattern.slice(pattern.indexOf('/', cut)),
  ];
  const prefix = name.slice(0, name.indexOf('*'));
  const suffix = name.slice(name.indexOf('*') + 1);
  return entries(parent)
    .filter((entry) => entry.startsWith(prefix) && entry.endsWith(suffix))
    .map((entry) => `${parent}/${entry}${rest}`);
}

function entries(folder) {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
