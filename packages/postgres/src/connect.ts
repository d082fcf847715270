import { Socket } from 'node:net';
import pg from 'pg';
import { PgsiloError, throwIfAborted } from '@pgsilo/plugin';
import { unusedPasswordFile } from './connection-files.ts';
import { passwordOf, type ServerAddress, type ServerSettings } from './connection.ts';
import { sqlState, translatePostgresError } from './postgres-error.ts';
import { transportsFor, type Transport } from './tls.ts';

/** A client that is connected, and where. */
export interface Connected {
  readonly client: pg.Client;
  readonly address: ServerAddress;
}

const defaultTimeout = 30_000;
const keepAliveDelay = 30_000;

/** Transports that worked a moment ago, by address and mode: a server without TLS is not asked for it at each of a thousand connections. */
const worked = new Map<string, { readonly index: number; readonly until: number }>();
const rememberedFor = 60_000;

/**
 * Connects to the first address and by the first transport that will do. Throws what the last attempt threw.
 * @param replication for the commands of physical replication; no SQL can be run then, so the settings must not name `target_session_attrs`.
 */
export async function connectClient(
  settings: ServerSettings,
  applicationName: string,
  signal: AbortSignal | undefined,
  replication = false,
): Promise<Connected> {
  const wanted = settings.parameters['target_session_attrs'] ?? 'any';
  const rounds = wanted === 'prefer-standby' ? ['standby', 'any'] : [wanted];
  let last: unknown;
  for (const attributes of rounds) {
    for (const address of settings.addresses) {
      try {
        const client = await connectTo(settings, address, applicationName, signal, replication);
        if (await hasAttributes(client, attributes)) return { client, address };
        await client.end();
        last = new PgsiloError('source.unreachable', `no server of the connection is ${attributes}`);
      } catch (error) {
        if (signal) throwIfAborted(signal);
        last = error;
        // As in libpq: a server that answered and refused is not asked for at the next address.
        if (translatePostgresError(error, '').code !== 'source.unreachable') throw error;
      }
    }
  }
  throw last;
}

async function connectTo(
  settings: ServerSettings,
  address: ServerAddress,
  applicationName: string,
  signal: AbortSignal | undefined,
  replication: boolean,
): Promise<pg.Client> {
  const transports = transportsFor(settings, address);
  const key = JSON.stringify([address, settings.parameters['sslmode'] ?? '']);
  const known = worked.get(key);
  const start = transports.length > 1 && known && known.until > Date.now() ? known.index : 0;
  for (let index = start; ; index += 1) {
    try {
      const client = await connectBy(
        transports[index]!,
        settings,
        address,
        applicationName,
        signal,
        replication,
      );
      if (index !== start) worked.set(key, { index, until: Date.now() + rememberedFor });
      return client;
    } catch (error) {
      if (index + 1 >= transports.length || !otherTransportMayDo(error)) throw error;
    }
  }
}

/** Only in the modes `allow` and `prefer`, where the person asked for no safety. */
function otherTransportMayDo(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  if (sqlState(error)) return code === '28000';
  return (
    /SSL/.test((error as Error).message) ||
    (typeof code === 'string' && /^(ERR_|EPROTO|ECONNRESET)/.test(code))
  );
}

async function connectBy(
  transport: Transport,
  settings: ServerSettings,
  address: ServerAddress,
  applicationName: string,
  signal: AbortSignal | undefined,
  replication: boolean,
): Promise<pg.Client> {
  const { parameters } = settings;
  const client = new pg.Client({
    host: address.host,
    port: address.port,
    user: settings.user,
    database: settings.database,
    // A function, because pg would take a missing password from the environment of this process.
    password: () => passwordOf(settings, address, settings.database)?.reveal() as string,
    application_name: applicationName,
    ssl: transport,
    ...(replication ? { replication: 'true' } : {}),
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveDelay,
    connectionTimeoutMillis: parameters['connect_timeout']
      ? Number(parameters['connect_timeout']) * 1000
      : defaultTimeout,
    enableChannelBinding: parameters['channel_binding'] !== 'disable',
    sslnegotiation: transport && parameters['sslnegotiation'] === 'direct' ? 'direct' : 'postgres',
    ...(parameters['options'] === undefined ? {} : { options: parameters['options'] }),
    ...(address.hostaddr === undefined ? {} : { stream: () => viaAddress(address.hostaddr!) }),
  } as pg.ClientConfig);
  const abort = (): void =>
    void (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
  // A second error may follow the one that connect() threw.
  const ignore = (): void => undefined;
  client.on('error', ignore);
  signal?.addEventListener('abort', abort, { once: true });
  try {
    if (signal) throwIfAborted(signal);
    await client.connect();
    client.off('error', ignore);
    return client;
  } catch (error) {
    abort();
    throw isMissingPassword(error) ? missingPassword(settings, error) : error;
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

/** pg tells it by the type of what it was given. */
function isMissingPassword(error: unknown): boolean {
  return /password must be a/.test((error as Error).message);
}

function missingPassword(settings: ServerSettings, cause: unknown): Error {
  const file = unusedPasswordFile(settings.parameters['passfile']);
  const unused =
    file === undefined ? '' : `; the password file ${file} is not used, because others may read it`;
  return new Error(`the server wants a password, and none was given${unused}`, { cause });
}

/** A socket that connects to `hostaddr` whatever host it is told; the name stays for the certificate. */
function viaAddress(hostaddr: string): Socket {
  const socket = new Socket();
  const connect = socket.connect.bind(socket) as (port: number, host: string) => Socket;
  socket.connect = ((port: number) => connect(port, hostaddr)) as Socket['connect'];
  return socket;
}

async function hasAttributes(client: pg.Client, attributes: string): Promise<boolean> {
  if (attributes === 'any') return true;
  const { rows } = await client.query<{ standby: boolean; readonly: boolean }>(
    `SELECT pg_catalog.pg_is_in_recovery() AS standby, pg_catalog.current_setting('transaction_read_only') = 'on' AS readonly`,
  );
  const { standby, readonly } = rows[0]!;
  const answers: Readonly<Record<string, boolean>> = {
    primary: !standby,
    standby,
    'read-write': !standby && !readonly,
    'read-only': standby || readonly,
  };
  const answer = answers[attributes];
  if (answer === undefined)
    throw new PgsiloError(
      'config.invalid',
      `target_session_attrs ${JSON.stringify(attributes)} is not known`,
    );
  return answer;
}
