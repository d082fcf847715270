import { existsSync } from 'node:fs';
import { userInfo } from 'node:os';
import { PgsiloError, Secret } from '@pgsilo/plugin';
import { passwordFromFile, readService, type Environment } from './connection-files.ts';
import { parseConnectionString, type ConnectionParameters } from './connection-string.ts';
import { conninfo } from './quoting.ts';

/** One place where the server may listen. */
export interface ServerAddress {
  /** A host's name or address, or the absolute path of the folder of a Unix socket. */
  readonly host: string;
  /** Address to connect to in the host's place; the name is then used for certificates only. */
  readonly hostaddr?: string;
  readonly port: number;
}

/** How to reach one server: what a connection string, the PG* environment and libpq's files say together. */
export interface ServerSettings {
  /** Tried one after another. Never empty. */
  readonly addresses: readonly ServerAddress[];
  readonly user: string;
  readonly database: string;
  readonly password?: Secret;
  /** All other parameters of libpq that were given: sslmode, options, connect_timeout, … */
  readonly parameters: Readonly<ConnectionParameters>;
}

const fromEnvironment: Readonly<Record<string, string>> = {
  PGHOST: 'host',
  PGHOSTADDR: 'hostaddr',
  PGPORT: 'port',
  PGDATABASE: 'dbname',
  PGUSER: 'user',
  PGPASSWORD: 'password',
  PGPASSFILE: 'passfile',
  PGREQUIREAUTH: 'require_auth',
  PGCHANNELBINDING: 'channel_binding',
  PGOPTIONS: 'options',
  PGCONNECT_TIMEOUT: 'connect_timeout',
  PGSSLMODE: 'sslmode',
  PGSSLNEGOTIATION: 'sslnegotiation',
  PGSSLCOMPRESSION: 'sslcompression',
  PGSSLCERT: 'sslcert',
  PGSSLKEY: 'sslkey',
  PGSSLCERTMODE: 'sslcertmode',
  PGSSLROOTCERT: 'sslrootcert',
  PGSSLCRL: 'sslcrl',
  PGSSLCRLDIR: 'sslcrldir',
  PGSSLSNI: 'sslsni',
  PGREQUIREPEER: 'requirepeer',
  PGSSLMINPROTOCOLVERSION: 'ssl_min_protocol_version',
  PGSSLMAXPROTOCOLVERSION: 'ssl_max_protocol_version',
  PGGSSENCMODE: 'gssencmode',
  PGKRBSRVNAME: 'krbsrvname',
  PGGSSLIB: 'gsslib',
  PGGSSDELEGATION: 'gssdelegation',
  PGTARGETSESSIONATTRS: 'target_session_attrs',
  PGLOADBALANCEHOSTS: 'load_balance_hosts',
};

/** Parameters that pgsilo sets itself, or that have a field of their own. */
const ownParameters = new Set([
  'host',
  'hostaddr',
  'port',
  'dbname',
  'user',
  'password',
  'service',
  'servicefile',
  'application_name',
  'fallback_application_name',
  'client_encoding',
  'replication',
]);

/** Secrets that libpq takes from a connection string alone. */
const unpassable = ['sslpassword', 'scram_client_key', 'scram_server_key'];

const sslModes = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'];
const socketFolders = ['/var/run/postgresql', '/run/postgresql', '/tmp'];
const defaultPort = '5432';

/**
 * Reads a connection string as libpq would: what it does not say comes from its service, then from the PG* environment, then from libpq's defaults.
 * Opens no connection. Throws `config.invalid`.
 */
export function parseConnection(connection: string | Secret, env: Environment = process.env): ServerSettings {
  const given = parseConnectionString(typeof connection === 'string' ? connection : connection.reveal());
  const service = given['service'] ?? env['PGSERVICE'];
  const ambient = Object.entries(fromEnvironment).flatMap(([variable, keyword]) =>
    env[variable] ? [[keyword, env[variable]]] : [],
  );
  const all: ConnectionParameters = {
    ...(Object.fromEntries(ambient) as ConnectionParameters),
    ...(service ? readService(service, given['servicefile'], env) : {}),
    ...given,
  };
  const sslmode = all['sslmode'];
  if (sslmode !== undefined && !sslModes.includes(sslmode)) {
    throw new PgsiloError(
      'config.invalid',
      `sslmode ${JSON.stringify(sslmode)} is none of ${sslModes.join(', ')}`,
    );
  }
  for (const keyword of unpassable) {
    if (all[keyword] !== undefined) {
      throw new PgsiloError(
        'config.invalid',
        `the connection sets ${keyword}, which a client program could only be told in its arguments, for all to see`,
        {
          hint: 'Use a key file without a passphrase, readable by its owner only, or a password.',
        },
      );
    }
  }
  const user = all['user'] ?? userInfo().username;
  return {
    addresses: addressesOf(all),
    user,
    database: all['dbname'] ?? user,
    ...(all['password'] === undefined ? {} : { password: new Secret(all['password']) }),
    parameters: Object.fromEntries(Object.entries(all).filter(([keyword]) => !ownParameters.has(keyword))),
  };
}

function addressesOf(parameters: ConnectionParameters): ServerAddress[] {
  const hosts = parameters['host']?.split(',') ?? [];
  const literal = parameters['hostaddr']?.split(',') ?? [];
  const ports = (parameters['port'] ?? defaultPort).split(',');
  const count = Math.max(hosts.length, literal.length, 1);
  if (
    (hosts.length && literal.length && hosts.length !== literal.length) ||
    (ports.length > 1 && ports.length !== count)
  ) {
    throw new PgsiloError(
      'config.invalid',
      `the connection names ${count} hosts and ${ports.length} ports; give one port, or one for each host`,
    );
  }
  return Array.from({ length: count }, (_, index) => {
    const text = (ports.length === 1 ? ports[0] : ports[index]) || defaultPort;
    const port = Number(text);
    if (!Number.isInteger(port) || port < 1 || port > 65_535) {
      throw new PgsiloError('config.invalid', `${JSON.stringify(text)} is no port number`);
    }
    const hostaddr = literal[index];
    const host = hosts[index] || hostaddr || localHost(port);
    return { host, port, ...(hostaddr ? { hostaddr } : {}) };
  });
}

/** libpq's default is the socket folder that it was compiled with, which differs between distributions: take the one that a server listens in. */
function localHost(port: number): string {
  return socketFolders.find((folder) => existsSync(`${folder}/.s.PGSQL.${port}`)) ?? 'localhost';
}

/** The same server with another database. */
export function withDatabase(settings: ServerSettings, database: string): ServerSettings {
  return { ...settings, database };
}

/** The same server, at one of its addresses only. */
export function withAddress(settings: ServerSettings, address: ServerAddress): ServerSettings {
  return { ...settings, addresses: [address] };
}

/** `host:port`, for messages. Several are joined by commas. */
export function describeServer(settings: ServerSettings): string {
  return settings.addresses
    .map(({ host, port }) => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`))
    .join(',');
}

/** The password, given or from the password file, for one address and database. */
export function passwordOf(
  settings: ServerSettings,
  address: ServerAddress,
  database: string,
): Secret | undefined {
  if (settings.password) return settings.password;
  const wanted = { host: address.host, port: address.port, database, user: settings.user };
  const found = passwordFromFile(settings.parameters['passfile'], wanted);
  return found === undefined ? undefined : new Secret(found);
}

/** How a client program is told where to connect. */
export interface ChildConnection {
  /** `--dbname=…`: everything but the password. */
  readonly argument: string;
  /** PGPASSWORD, when there is one. */
  readonly env: Readonly<Record<string, string>>;
}

/** Where a client program that runs somewhere else (`exec`) finds the server; undefined: its own defaults. */
export interface FarServer {
  readonly host?: string | undefined;
  readonly port?: number | undefined;
}

/**
 * The connection for a client program.
 * @param far set when the program runs on another machine: neither this side's host and port nor its certificate files mean anything there.
 */
export function childConnection(
  settings: ServerSettings,
  database: string,
  applicationName: string,
  far?: FarServer,
): ChildConnection {
  const address = settings.addresses[0]!;
  const { passfile: _, ...parameters } = settings.parameters;
  const password = passwordOf(settings, address, database);
  const server: ConnectionParameters = far
    ? {
        ...(far.host === undefined ? {} : { host: far.host }),
        ...(far.port === undefined ? {} : { port: String(far.port) }),
        ...(parameters['options'] === undefined ? {} : { options: parameters['options'] }),
      }
    : {
        ...parameters,
        host: settings.addresses.map((one) => one.host).join(','),
        port: settings.addresses.map((one) => one.port).join(','),
        ...(settings.addresses.every((one) => one.hostaddr)
          ? { hostaddr: settings.addresses.map((one) => one.hostaddr).join(',') }
          : {}),
      };
  // Without them a program would wait without end for a server that went silent.
  const bounds = {
    connect_timeout: '30',
    keepalives: '1',
    keepalives_idle: '30',
    keepalives_interval: '10',
    keepalives_count: '6',
  };
  const argument = conninfo({
    ...bounds,
    ...server,
    user: settings.user,
    dbname: database,
    application_name: applicationName,
  });
  return { argument: `--dbname=${argument}`, env: password ? { PGPASSWORD: password.reveal() } : {} };
}
