import { createServer, type AddressInfo, type Server } from 'node:net';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { PgsiloError } from '@pgsilo/plugin';
import { sharedPostgres, startPostgres, type SharedPostgres } from '@pgsilo/testkit/postgres';
import {
  openSession,
  parseConnection,
  terminateSessions,
  type Session,
  type ServerSettings,
} from '../src/index.ts';

let server: SharedPostgres;
let settings: ServerSettings;
const open: Session[] = [];
beforeAll(async () => {
  server = await sharedPostgres();
  settings = parseConnection(server.url);
});
afterEach(async () => {
  for (const session of open.splice(0)) await session.close();
});

async function connect(
  to: ServerSettings = settings,
  more: { database?: string; signal?: AbortSignal; applicationName?: string } = {},
): Promise<Session> {
  const session = await openSession(to, { applicationName: 'session test', purpose: 'test', ...more });
  open.push(session);
  return session;
}

const codeOf = async (promise: Promise<unknown>): Promise<string> => {
  const error = await promise.then(
    () => new Error('it did not throw'),
    (error: unknown) => error,
  );
  if (!(error instanceof PgsiloError)) throw error;
  expect(JSON.stringify(error)).not.toContain(server.password);
  return error.code;
};

describe('a session', () => {
  it('knows its server and fixes its settings, whatever the role says', async () => {
    const database = await server.freshDatabase('settings');
    await database.query(`ALTER DATABASE "${database.name}" SET statement_timeout = '1s'`);
    await database.query(`ALTER DATABASE "${database.name}" SET search_path = evil, public`);
    await database.query(`ALTER DATABASE "${database.name}" SET idle_in_transaction_session_timeout = '1s'`);
    const session = await connect(settings, { database: database.name });
    expect(session.serverVersion).toMatch(/^\d+\.\d+$/);
    expect(session.major).toBe(server.major);
    expect(session.pooled).toBe(false);
    const rows = await session.query<{ name: string; setting: string }>(
      `SELECT name, setting FROM pg_settings WHERE name IN ('statement_timeout', 'search_path', 'idle_in_transaction_session_timeout', 'row_security', 'TimeZone')`,
    );
    expect(Object.fromEntries(rows.map((row) => [row.name, row.setting]))).toEqual({
      statement_timeout: '0',
      search_path: 'pg_catalog',
      idle_in_transaction_session_timeout: '0',
      row_security: 'off',
      TimeZone: 'UTC',
    });
    await session.close();
    await database.drop();
  });

  it('translates what the server and the network say', async () => {
    expect(await codeOf(connect(settings, { database: 'no such' }))).toBe('source.unit-missing');
    expect(
      await codeOf(connect(parseConnection(server.url.replace(server.password, 'wrong-password')))),
    ).toBe('source.denied');
    expect(
      await codeOf(
        connect(parseConnection(server.url.replace(`:${server.password}`, ''), { HOME: '/nowhere' })),
      ),
    ).toBe('source.denied');
    expect(await codeOf(connect(parseConnection('postgres://u@127.0.0.1:1/d')))).toBe('source.unreachable');
    expect(await codeOf(connect(parseConnection('postgres://u@%2Fnowhere/d')))).toBe('source.unreachable');
    expect(await codeOf(connect(parseConnection(`${server.url}?sslmode=require`)))).toBe('source.denied');
    const session = await connect();
    expect(await codeOf(session.query('SELECT nonsense'))).toBe('source.failed');
    expect(await session.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('survives being ended by the server, and says so at the next query', async () => {
    const session = await connect();
    const lost = new Promise((resolve) => session.lost.addEventListener('abort', resolve));
    await (await connect()).query('SELECT pg_terminate_backend($1)', [session.pid]);
    await lost;
    expect(await codeOf(session.query('SELECT 1'))).toBe('source.unreachable');
    expect(await codeOf(session.query('SELECT 1'))).toBe('source.unreachable');
  });

  it('ends with its signal in the middle of a query, also on the server', async () => {
    const controller = new AbortController();
    const session = await connect(settings, {
      signal: controller.signal,
      applicationName: 'session to abort',
    });
    const query = session.query('SELECT pg_sleep(60)');
    query.catch(() => undefined);
    const watcher = await connect();
    controller.abort(new PgsiloError('limit.timeout', 'too long'));
    expect(await codeOf(query)).toBe('limit.timeout');
    const count = async (): Promise<unknown> =>
      (
        await watcher.query(
          `SELECT count(*)::int4 AS n FROM pg_stat_activity WHERE application_name = 'session to abort'`,
        )
      )[0];
    await expect.poll(count, { timeout: 10_000 }).toEqual({ n: 0 });
  });

  it('does not wait for a server that accepts and says nothing', async () => {
    const mute: Server = createServer(() => undefined);
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
    const { port } = mute.address() as AddressInfo;
    const url = `postgres://u@127.0.0.1:${port}/d?sslmode=disable`;
    const signal = AbortSignal.timeout(200);
    expect(await codeOf(connect(parseConnection(url), { signal }))).toMatch(/aborted|internal/);
    expect(await codeOf(connect(parseConnection(`${url}&connect_timeout=1`)))).toBe('source.unreachable');
    mute.close();
  });

  it('takes the next host when the first is not there, and remembers which one answered', async () => {
    const url = `postgres://${server.user}:${server.password}@127.0.0.1:1,127.0.0.1:${server.port}/postgres`;
    const session = await connect(parseConnection(url));
    expect(session.settings.addresses).toEqual([{ host: '127.0.0.1', port: server.port }]);
    expect(await codeOf(connect(parseConnection(`${url}?target_session_attrs=standby`)))).toBe(
      'source.unreachable',
    );
    await connect(parseConnection(`${url}?target_session_attrs=prefer-standby`));
    await connect(
      parseConnection(
        `host=name.invalid,other.invalid hostaddr=127.0.0.1,127.0.0.1 port=1,${server.port} user=postgres password=${server.password}`,
      ),
    );
    await connect(
      parseConnection(
        `postgres://postgres:${server.password}@${encodeURIComponent(server.socketFolder)}:${server.port}/postgres`,
      ),
    );
  });

  it('is ended by application_name, and only by exactly that', async () => {
    const mine = await connect(settings, { applicationName: 'pgsilo r1-j1' });
    const other = await connect(settings, { applicationName: 'pgsilo r1-j12' });
    expect(await terminateSessions(settings, 'pgsilo r1-j1')).toBe(1);
    expect(await terminateSessions(settings, 'pgsilo r1-j1')).toBe(0);
    expect(await codeOf(mine.query('SELECT 1'))).toBe('source.unreachable');
    expect(await other.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });
});

describe('TLS', () => {
  it('is used when the server has it, and checked as sslmode says', async () => {
    const { execFileSync } = await import('node:child_process');
    const tls = await startPostgres();
    try {
      const certificate = `${tls.dataFolder}/server.crt`;
      const key = `${tls.dataFolder}/server.key`;
      const subject = ['-subj', '/CN=db.example', '-addext', 'subjectAltName=DNS:db.example'];
      execFileSync(
        'openssl',
        [
          'req',
          '-x509',
          '-newkey',
          'rsa:2048',
          '-nodes',
          '-days',
          '2',
          '-keyout',
          key,
          '-out',
          certificate,
          ...subject,
        ],
        { stdio: 'pipe' },
      );
      const { uid, gid } = (await import('node:fs')).statSync(tls.dataFolder);
      for (const file of [certificate, key]) (await import('node:fs')).chownSync(file, uid, gid);
      (await import('node:fs')).chmodSync(key, 0o600);
      const admin = await connect(parseConnection(tls.url));
      await admin.query('ALTER SYSTEM SET ssl = on');
      await admin.query('SELECT pg_reload_conf()');

      const encrypted = async (parameters: string): Promise<boolean> => {
        const session = await connect(parseConnection(`${tls.url}?${parameters}`));
        const [row] = await session.query<{ ssl: boolean }>(
          'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
        );
        return row!.ssl;
      };
      await expect.poll(() => encrypted('sslmode=require').catch(() => false)).toBe(true);
      expect(await encrypted('sslmode=disable')).toBe(false);
      // Another name: that this address had no TLS is remembered for a minute.
      expect(await encrypted('host=localhost')).toBe(true);
      expect(await encrypted(`sslmode=verify-ca&sslrootcert=${certificate}`)).toBe(true);
      expect(await codeOf(encrypted(`sslmode=verify-full&sslrootcert=${certificate}`))).toBe('source.denied');
      expect(await codeOf(encrypted('sslmode=verify-full&sslrootcert=system'))).toBe('source.denied');
      expect(await codeOf(encrypted('sslmode=verify-full&sslrootcert=/nowhere'))).toBe('config.invalid');
      const named = tls.url.replace('127.0.0.1', 'db.example');
      await connect(
        parseConnection(`${named}?hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert=${certificate}`),
      );
    } finally {
      for (const session of open.splice(0)) await session.close();
      await tls.stop();
    }
  });
});
