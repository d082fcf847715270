import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { ownIdentity } from '@pgsilo/plugin/process-identity';
import { describe, expect, it, onTestFinished } from 'vitest';
import { sharedPostgres, startPostgres } from '../../src/postgres.ts';
import { claimFolder, sweepLeftovers } from '../../src/postgres/leftovers.ts';

async function ask<Row extends object>(url: string, sql: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(sql)).rows;
  } finally {
    await client.end();
  }
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
}

interface Owner {
  readonly child: ChildProcess;
  readonly port: number;
  readonly folder: string;
}

async function startOwner(how: string): Promise<Owner> {
  const file = fileURLToPath(new URL('owner.ts', import.meta.url));
  const child = spawn(process.execPath, [file, how], { stdio: ['ignore', 'pipe', 'ignore'] });
  const line = await new Promise<string>((resolve) =>
    child.stdout.once('data', (data: Buffer) => resolve(String(data))),
  );
  return { child, ...(JSON.parse(line) as { port: number; folder: string }) };
}

describe('startPostgres', () => {
  it('starts, wants its password, is killed, starts again with its data, and leaves nothing', async () => {
    const server = await startPostgres({ settings: { max_locks_per_transaction: 99 } });
    await expect(ask(server.url.replace(server.password, 'wrong'), 'SELECT 1')).rejects.toThrow(/password/);
    expect(await ask(server.url, 'SHOW max_locks_per_transaction')).toEqual([
      { max_locks_per_transaction: '99' },
    ]);
    await ask(server.url, 'CREATE TABLE t AS SELECT 1 AS one');
    await ask(server.url, 'CHECKPOINT');
    await server.kill();
    expect(await listens(server.port)).toBe(false);
    await server.start();
    expect(await ask(server.url, 'SELECT one FROM t')).toEqual([{ one: 1 }]);
    await server.stop();
    expect(await listens(server.port)).toBe(false);
    expect(existsSync(server.socketFolder)).toBe(false);
  });

  it('fails with the log of a server that does not start', async () => {
    await expect(startPostgres({ settings: { shared_buffers: 'much' } })).rejects.toThrow(
      /invalid value for parameter "shared_buffers"/,
    );
  });

  it.each([
    ['exits', 'exit', undefined],
    ['throws', 'throw', undefined],
    ['is interrupted', 'wait', 'SIGINT'],
    ['is killed', 'wait', 'SIGKILL'],
  ] as const)('leaves nothing when its owner %s', async (_, how, signal) => {
    const owner = await startOwner(how);
    if (signal) owner.child.kill(signal);
    await expect.poll(() => listens(owner.port), { timeout: 10_000 }).toBe(false);
    await expect.poll(() => existsSync(owner.folder), { timeout: 10_000 }).toBe(false);
  });

  it('sweeps what a dead owner left, and nothing else', () => {
    const parent = mkdtempSync(join(tmpdir(), 'pgsilo-sweep-'));
    onTestFinished(() => rmSync(parent, { recursive: true }));
    const make = (name: string): string => {
      const folder = join(parent, name);
      mkdirSync(folder);
      return folder;
    };
    const [dead, mine, reused, unclaimed, foreign] = [
      'pgsilo-pg-a',
      'pgsilo-pg-b',
      'pgsilo-pg-c',
      'pgsilo-pg-d',
      'other',
    ].map(make);
    claimFolder(dead!, 4_194_304 + 17);
    claimFolder(mine!, process.pid);
    // The number of a process that is alive, with the start of another.
    writeFileSync(join(reused!, 'owner'), `${ownIdentity().replace(/\d+$/, '1')}\n`);
    sweepLeftovers(parent);
    expect([dead, mine, reused, unclaimed, foreign].map((folder) => existsSync(folder!))).toEqual([
      false,
      true,
      false,
      true,
      true,
    ]);
  });
});

describe('sharedPostgres', () => {
  it('is one server, with databases for each test', async () => {
    const server = await sharedPostgres();
    expect(await sharedPostgres()).toBe(server);
    const [one, two] = [
      await server.freshDatabase('x'),
      await server.freshDatabase('x', `TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'`),
    ];
    await one.query('CREATE TABLE t (a int)');
    expect(
      await two.query(
        `SELECT to_regclass('t') AS t, pg_encoding_to_char(encoding) AS e FROM pg_database WHERE datname = '${two.name}'`,
      ),
    ).toEqual([{ t: null, e: 'LATIN1' }]);
    await Promise.all([one.drop(), two.drop()]);
    expect(
      await ask(
        server.url,
        `SELECT datname FROM pg_database WHERE datname IN ('${one.name}', '${two.name}')`,
      ),
    ).toEqual([]);
  });
});
