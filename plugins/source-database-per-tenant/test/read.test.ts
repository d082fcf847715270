import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Job, SourceArtifact } from '@pgsilo/plugin';
import {
  databaseSettingsSchema,
  fingerprintSchema,
  openSession,
  parseConnection,
  readArchive,
  type Session,
  lockTables,
  takeSnapshot,
} from '@pgsilo/postgres';
import { bodyOf } from '@pgsilo/testkit';
import { startPostgres, type ThrowawayPostgres } from '@pgsilo/testkit/postgres';
import { readJob } from '../src/read.ts';
import { createDatabases, hostileNames, jobOf, plan, read, readContext, setupOf, sql } from './fixture.ts';

let server: ThrowawayPostgres;
let folder: string;
beforeAll(async () => {
  server = await startPostgres();
  folder = mkdtempSync(join(tmpdir(), 'pgsilo-read-'));
  await createDatabases(server.url, ['big', 'empty']);
  await sql(
    server.url,
    'big',
    'CREATE TABLE rows AS SELECT g AS id, md5(g::text) AS text FROM generate_series(1, 200000) g',
    'CREATE TABLE small AS SELECT 1 AS id',
    'CREATE SEQUENCE numbers',
    `SELECT setval('numbers', 41)`,
  );
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await server.stop();
});

const ofBig = (more: Record<string, unknown> = {}): ReturnType<typeof setupOf> =>
  setupOf(server.url, { databases: ['big'], ...more });
const bigJob: Job = { id: 'big', units: [{ name: 'big', labels: {}, origin: { database: 'big' } }] };
const globalsJob: Job = { id: 'globals', units: [{ name: '@globals', labels: {}, origin: {} }] };
const sessionsOf = async (label: string): Promise<number> =>
  (
    await sql<{ n: number }>(
      server.url,
      'postgres',
      `SELECT count(*)::int4 AS n FROM pg_stat_activity WHERE application_name = 'pgsilo ${label}'`,
    )
  )[0]!.n;

/** A folder whose pg_dump and pg_dumpall are this script; `$REAL` is the real one. */
let scripts = 0;
function fakeTools(script: string): string {
  scripts += 1;
  const bin = mkdtempSync(join(folder, 'bin-'));
  for (const name of ['pg_dump', 'pg_dumpall']) {
    const real = `${server.bin}/${name}`;
    writeFileSync(
      join(bin, name),
      `#!/bin/sh\nREAL=${real}\n[ "$1" = --version ] && exec $REAL --version\n${script}\n`,
    );
    chmodSync(join(bin, name), 0o755);
  }
  return bin;
}

describe('reading a database', () => {
  it('tells stores beforehand how large the dump may be', async () => {
    const setup = ofBig();
    const job = jobOf(await plan(setup), 'big');
    for await (const item of readJob(setup, new Set(), job, readContext())) {
      if (item.type !== 'artifact' || item.name !== 'database.dump') continue;
      expect(item.estimatedBytes).toBe(job.estimatedBytes);
      expect(item.estimatedBytes).toBeGreaterThan(200_000 * 32);
      break;
    }
    expect.assertions(2);
  });

  it('delivers the archive, its settings and its fingerprint, which agree', async () => {
    const setup = ofBig();
    const { artifacts, facts } = await read(setup, jobOf(await plan(setup), 'big'));
    expect(Object.keys(artifacts)).toEqual(['database.dump', 'settings.json', 'fingerprint.json']);
    const contents = await readArchive(bodyOf(artifacts['database.dump']!));
    expect(contents).toBeDefined();
    const fingerprint = fingerprintSchema.parse(JSON.parse(String(artifacts['fingerprint.json'])));
    expect(fingerprint.tables.map(({ schema, name, rows }) => [schema, name, rows])).toEqual([
      ['public', 'rows', 200_000],
      ['public', 'small', 1],
    ]);
    expect(fingerprint.sequences).toEqual([expect.objectContaining({ name: 'numbers', lastValue: '41' })]);
    expect(databaseSettingsSchema.parse(JSON.parse(String(artifacts['settings.json'])))).toMatchObject({
      name: 'big',
      owner: 'postgres',
    });
    expect(facts).toHaveLength(1);
    expect(facts[0]).toMatchObject({
      unit: 'big',
      facts: {
        status: 'good',
        server: { systemIdentifier: expect.stringMatching(/^\d+$/) },
        lsn: expect.stringMatching(/^[\dA-F]+\/[\dA-F]+$/),
        about: { tables: 2, rows: 200_001 },
      },
    });
    expect(facts[0]!.facts.tool).toMatch(/^pg_dump \d+\.\d+$/);
    expect(Math.abs(Date.parse(facts[0]!.facts.snapshotAt) - Date.now())).toBeLessThan(60_000);
    expect(facts[0]!.facts.snapshotAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  it('takes the very database that was meant, whatever it is called', async () => {
    await createDatabases(server.url, hostileNames);
    const setup = setupOf(server.url, { databases: hostileNames, globals: false });
    const found = await plan(setup);
    const inTurn = [...hostileNames.entries()];
    const readNext = async (): Promise<void> => {
      for (let next = inTurn.shift(); next; next = inTurn.shift()) {
        const [index, name] = next;
        await sql(server.url, name, `CREATE TABLE marker AS SELECT 'this is number ${index}.' AS text`);
        const { artifacts } = await read(setup, jobOf(found, name));
        expect(artifacts['database.dump']!.includes(`this is number ${index}.`)).toBe(true);
        expect(JSON.parse(String(artifacts['settings.json']))).toMatchObject({ name });
      }
    };
    await Promise.all([readNext(), readNext()]);
  });

  it.each(['counts', 'content'])(
    'counts what the archive holds while rows come and go: %s',
    async (fingerprint) => {
      const busy = `busy_${fingerprint}`;
      await createDatabases(server.url, [busy]);
      await sql(server.url, busy, 'CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 50000) g');
      const writer = await openSession(parseConnection(server.urlOf(busy)), {
        applicationName: 'writer',
        purpose: 'write',
      });
      let stop = false;
      const writing = (async () => {
        while (!stop) {
          await writer.query('INSERT INTO public.t SELECT g FROM generate_series(1, 100) g');
          await writer.query('DELETE FROM public.t WHERE ctid IN (SELECT ctid FROM public.t LIMIT 57)');
        }
      })();
      try {
        const setup = setupOf(server.url, { databases: [busy], fingerprint });
        for (let turn = 0; turn < 3; turn += 1) {
          const { artifacts } = await read(setup, {
            id: busy,
            units: [{ name: busy, labels: {}, origin: { database: busy } }],
          });
          const archive = await readArchive(bodyOf(artifacts['database.dump']!));
          const counted = fingerprintSchema.parse(JSON.parse(String(artifacts['fingerprint.json'])))
            .tables[0]!;
          expect(counted.hash !== undefined).toBe(fingerprint === 'content');
          expect(JSON.stringify([...archive.data.values()].map((one) => Number(one.rows)))).toBe(
            JSON.stringify([Number(counted.rows)]),
          );
        }
      } finally {
        stop = true;
        await writing;
        await writer.close();
      }
    },
  );

  it('locks tables before pg_dump runs, so that none is emptied between dump and hash', async () => {
    const session: Session = await openSession(parseConnection(server.urlOf('big')), {
      applicationName: 'lock test',
      purpose: 'test',
    });
    try {
      await takeSnapshot(session);
      await lockTables(session, 1000);
      const truncate = sql(server.url, 'big', `SET lock_timeout = '100ms'`, 'TRUNCATE public.small');
      await expect(truncate).rejects.toMatchObject({ code: 'source.lock-timeout' });
    } finally {
      await session.close();
    }
  });

  it('can do without a fingerprint', async () => {
    const { artifacts, facts } = await read(ofBig({ fingerprint: 'none' }), bigJob);
    expect(Object.keys(artifacts)).toEqual(['database.dump', 'settings.json']);
    expect(facts[0]!.facts.about).toEqual({});
  });

  it('gives up on a locked table after lockTimeout', async () => {
    const holder = await openSession(parseConnection(server.urlOf('big')), {
      applicationName: 'migration',
      purpose: 'migrate',
    });
    try {
      await holder.query('BEGIN');
      await holder.query('LOCK TABLE public.small IN ACCESS EXCLUSIVE MODE');
      for (const fingerprint of ['counts', 'content', 'none']) {
        await expect(read(ofBig({ lockTimeout: '200ms', fingerprint }), bigJob)).rejects.toMatchObject({
          code: 'source.lock-timeout',
        });
      }
    } finally {
      await holder.close();
    }
  });
});

describe('a dump that fails', () => {
  it.each([
    ['prints everything and exits 1', '$REAL "$@"; echo "disk on fire" >&2; exit 1', /disk on fire/],
    ['is killed half-way', '$REAL "$@" | head -c 3000000; kill -KILL $$', /SIGKILL/],
    ['prints nothing and exits 0', 'exit 0', /archive/],
    ['prints something else and exits 0', 'echo hello; exit 0', /archive/],
  ])('throws when pg_dump %s', async (_, script, message) => {
    const context = readContext();
    const failing = read(ofBig({ bin: fakeTools(script) }), bigJob, context);
    await expect(failing).rejects.toThrow(message);
    expect(await sessionsOf(context.label)).toBe(0);
  });

  it('throws when the server ends its session in the middle', async () => {
    const context = readContext();
    const items = readJob(ofBig(), new Set(), bigJob, context);
    const dump = (await items.next()).value as SourceArtifact;
    const body = dump.body[Symbol.asyncIterator]();
    await body.next();
    await sql(
      server.url,
      'postgres',
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgsilo ${context.label}'`,
    );
    const rest = (async () => {
      while (!(await body.next()).done);
    })();
    await expect(rest).rejects.toMatchObject({
      code: expect.stringMatching(/source\.(incomplete|unreachable)/),
    });
    await items.return(undefined);
  });

  it('refuses to go on when its body was not read to the end', async () => {
    const items = readJob(ofBig(), new Set(), bigJob, readContext());
    await items.next();
    await expect(items.next()).rejects.toMatchObject({ code: 'internal' });
  });

  it('says that a database is gone', async () => {
    const gone: Job = { id: 'gone', units: [{ name: 'gone', labels: {}, origin: { database: 'gone' } }] };
    await expect(read(ofBig(), gone)).rejects.toMatchObject({ code: 'source.unit-missing' });
  });
});

describe('stopping early', () => {
  it('ends child and sessions when the engine stops reading', async () => {
    const context = readContext();
    const items = readJob(ofBig(), new Set(), bigJob, context);
    const dump = (await items.next()).value as SourceArtifact;
    const body = dump.body[Symbol.asyncIterator]();
    await body.next();
    expect(await sessionsOf(context.label)).toBe(2);
    await body.return!();
    await items.return(undefined);
    expect(await sessionsOf(context.label)).toBe(0);
  });

  it('ends the server session of a client program that cannot be killed from here', async () => {
    // Like docker and kubectl: the local program ends with its signal, the far one goes on, here waiting for a lock.
    const prefix = join(folder, 'far');
    writeFileSync(prefix, `#!/bin/sh\nPGHOST=127.0.0.1 PGPORT=${server.port} setsid "$@" &\nwait $!\n`);
    chmodSync(prefix, 0o755);
    const holder = await openSession(parseConnection(server.urlOf('big')), {
      applicationName: 'migration',
      purpose: 'migrate',
    });
    try {
      await holder.query('BEGIN');
      await holder.query('LOCK TABLE public.small IN ACCESS EXCLUSIVE MODE');
      const context = readContext();
      const setup = ofBig({ exec: [prefix], bin: server.bin, fingerprint: 'none', lockTimeout: '1h' });
      const reading = read(setup, bigJob, context);
      reading.catch(() => undefined);
      await expect.poll(() => sessionsOf(context.label), { timeout: 10_000 }).toBe(2);
      context.abort();
      await expect(reading).rejects.toMatchObject({ code: 'aborted' });
      await expect.poll(() => sessionsOf(context.label), { timeout: 5000 }).toBe(0);
    } finally {
      await holder.close();
    }
  });
});

describe('exec', () => {
  it('runs the programs by a prefix that finds the server by itself, the password by name', async () => {
    const setup = ofBig({ exec: ['env', 'PGHOST=127.0.0.1', `PGPORT=${server.port}`], bin: server.bin });
    expect((await read(setup, bigJob)).facts).toHaveLength(1);
    expect((await read(setup, globalsJob)).facts).toHaveLength(1);
    const told = ofBig({
      exec: ['env', 'PGHOST=nowhere'],
      execHost: '127.0.0.1',
      execPort: server.port,
      bin: server.bin,
    });
    expect((await read(told, bigJob)).facts).toHaveLength(1);
  });

  it('quotes for ssh', async () => {
    const ssh = join(folder, 'ssh');
    writeFileSync(ssh, '#!/bin/sh\nshift\nexec /bin/sh -c "$*"\n');
    chmodSync(ssh, 0o755);
    const database = `a 'b' "$(id)"; exit`;
    await createDatabases(server.url, [database]);
    const setup = setupOf(server.url, {
      databases: [database],
      exec: [ssh, 'host'],
      execHost: '127.0.0.1',
      execPort: server.port,
      bin: server.bin,
    });
    const { artifacts } = await read(setup, {
      id: 'x',
      units: [{ name: 'x', labels: {}, origin: { database } }],
    });
    expect(artifacts['database.dump']!.subarray(0, 5).toString()).toBe('PGDMP');
  });

  it('never shows a password in an argument', async () => {
    const seen = join(folder, 'arguments');
    const bin = fakeTools(`printf '%s\\n' "$@" >> ${seen}; exec $REAL "$@"`);
    await read(ofBig({ bin }), bigJob);
    await read(ofBig({ bin }), globalsJob);
    const text = readFileSync(seen, 'utf8');
    expect(text).toContain('--snapshot=');
    expect(text).toContain('--globals-only');
    expect(text).not.toContain(server.password);
  });
});

describe('reading the globals', () => {
  it('delivers roles with their passwords', async () => {
    await sql(server.url, 'postgres', `CREATE ROLE app LOGIN PASSWORD 'app-pw'`);
    const { artifacts, facts } = await read(ofBig(), globalsJob);
    expect(String(artifacts['globals.sql'])).toMatch(/CREATE ROLE app;[\s\S]*SCRAM-SHA-256/);
    expect(facts[0]).toMatchObject({
      unit: '@globals',
      facts: { tool: expect.stringMatching(/^pg_dumpall/), about: { roles: 2, passwords: true } },
    });
  });

  it('delivers them without passwords, and says so, when the role may not read these', async () => {
    await sql(server.url, 'postgres', `CREATE ROLE humble LOGIN PASSWORD 'humble-pw'`);
    const url = server.url.replace(`postgres:${server.password}`, 'humble:humble-pw');
    const context = readContext();
    const { artifacts, facts } = await read(setupOf(url, { match: '*' }), globalsJob, context);
    expect(String(artifacts['globals.sql'])).toMatch(/CREATE ROLE app;/);
    expect(String(artifacts['globals.sql'])).not.toMatch(/SCRAM/);
    expect(facts[0]!.facts.about).toMatchObject({ passwords: false });
    expect(context.entries.map((entry) => entry.message).join()).toMatch(/without passwords/);
  });

  it('refuses output without its closing line', async () => {
    const bin = fakeTools('$REAL "$@" | grep -v "cluster dump complete"');
    await expect(read(ofBig({ bin }), globalsJob)).rejects.toMatchObject({
      code: 'source.incomplete',
      message: expect.stringMatching(/closing line/),
    });
  });
});
