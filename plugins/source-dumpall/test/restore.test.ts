import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openSession, parseConnection } from '@pgsilo/postgres';
import { startPostgres, type ThrowawayPostgres } from '@pgsilo/testkit/postgres';
import {
  backUp,
  databasesOf,
  removeBackups,
  restore,
  rolesOf,
  settingsOf,
  sql,
  textOf,
  type TestBackup,
} from './cluster.ts';
import { fillHostile, hostileNames, trap } from './hostile-server.ts';

let server: ThrowawayPostgres;
let backup: TestBackup;
beforeAll(async () => {
  server = await startPostgres();
  await fillHostile(server);
  backup = await backUp(server);
});
afterAll(async () => {
  await removeBackups();
  await server.stop();
});
afterEach(() => {
  if (existsSync(trap)) throw new Error('a command of psql that stood in data was run');
});

const all = [...hostileNames, 'evil', 'latin', 'legacy', 'nostromo'];
const code = (name: string): unknown => expect.objectContaining({ code: name });

async function onEmptyServer<T>(work: (empty: ThrowawayPostgres) => Promise<T>): Promise<T> {
  const empty = await startPostgres();
  try {
    return await work(empty);
  } finally {
    await empty.stop();
  }
}

describe('a whole server', () => {
  test('comes back on an empty one: roles with their passwords, all databases text for text', async () => {
    await onEmptyServer(async (empty) => {
      const { plan, compared, warnings } = await restore(empty, backup);
      expect(plan.join('\n')).toMatch(/Create 2 roles.*app/);
      expect(plan.join('\n')).toMatch(/Leave 1 role that exists as it is/);
      expect(compared).toMatch(/^16 databases, 18 tables, 24 rows; 1 existing role; created: roles/);
      expect(warnings).toEqual([]);
      expect((await databasesOf(empty)).sort()).toEqual([...all].sort());
      for (const name of [...all, 'postgres']) {
        expect(textOf(empty, name)).toBe(textOf(server, name));
        expect(settingsOf(empty, name)).toEqual(settingsOf(server, name));
      }
      const others = (text: string): string => text.replaceAll(/^.*(?:ROLE postgres|restrict).*$/gm, '');
      expect(others(rolesOf(empty))).toBe(others(rolesOf(server)));
      expect(rolesOf(empty)).toContain('SCRAM-SHA-256');
    });
  });

  test('is not restored over databases that are there', async () => {
    const before = await databasesOf(server);
    await expect(restore(server, backup)).rejects.toThrow(code('restore.target-not-empty'));
    expect(await databasesOf(server)).toEqual(before);
  });

  test('is not restored into a database postgres that somebody uses', async () => {
    await onEmptyServer(async (other) => {
      await sql(other, 'postgres', 'CREATE TABLE mine (id int)');
      const used = await backUp(other);
      await expect(restore(other, used)).rejects.toThrow(/databases of the backup already: postgres/);
    });
  });

  test('is neither renamed nor replaced nor restored in part', async () => {
    const refusals = [{ to: 'x' }, { replace: true }, { owner: false }, { tables: ['public.t'] }];
    for (const more of refusals)
      await expect(restore(server, backup, more)).rejects.toThrow(code('restore.refused'));
  });

  test('whose restore fails says which databases are whole, and leaves no half one', async () => {
    const text = (await readFile(backup.file)).toString('latin1');
    const broken = await backup.with(
      Buffer.from(text.replace('COPY public.empty (id)', 'COPY public.empty (no)'), 'latin1'),
    );
    await onEmptyServer(async (empty) => {
      const failure = await restore(empty, broken).catch((error: unknown) => error as Error);
      expect(failure).toMatchObject({ code: 'restore.failed' });
      expect(String(failure)).toMatch(/database nostromo: .*column "no".*Restored whole before it: .*Acme/s);
      const there = await databasesOf(empty);
      expect(there).toContain('Acme');
      expect(there.filter((name) => name === 'nostromo' || name.startsWith('pgsilo_'))).toEqual([]);
    });
  });
});

describe('one database', () => {
  test('comes out of it under another name, text for text, with its settings; nothing else is touched', async () => {
    const before = settingsOf(server, 'nostromo');
    const { target, compared, plan } = await restore(server, backup, { database: 'nostromo', to: 'x' });
    expect(target).toBe('x');
    expect(compared).toMatch(/^4 tables, 8 rows, 3 sequences, 1 large object$/);
    expect(plan.join('\n')).toContain('encoding UTF8 and locale C.UTF-8');
    expect(textOf(server, 'x')).toBe(textOf(server, 'nostromo'));
    expect(settingsOf(server, 'x')).toEqual(before);
    expect(settingsOf(server, 'nostromo')).toEqual(before);
    await sql(server, 'postgres', 'DROP DATABASE x');
  });

  test.each([...hostileNames, 'latin', 'legacy'])('called %j comes back', async (name) => {
    const { target } = await restore(server, backup, { database: name });
    expect(textOf(server, target)).toBe(textOf(server, name));
    expect(settingsOf(server, target)).toEqual(settingsOf(server, name));
    await sql(server, 'postgres', `DROP DATABASE "${target.replaceAll('"', '""')}"`);
  });

  test('called postgres comes back too, with the encoding that it had', async () => {
    const { target, warnings } = await restore(server, backup, { database: 'postgres' });
    expect(textOf(server, target)).toBe(textOf(server, 'postgres'));
    expect(warnings).toEqual([expect.stringContaining('does not say which locale postgres had')]);
    await sql(server, 'postgres', `DROP DATABASE "${target}"`);
  });

  test('that is not in the backup is refused with the names of those that are', async () => {
    const wanted = restore(server, backup, { database: 'nowhere' });
    await expect(wanted).rejects.toThrow(code('restore.no-match'));
    await expect(wanted).rejects.toMatchObject({ hint: expect.stringContaining('nostromo') });
  });

  test('whose roles are not there says how to bring them; without owners it comes back', async () => {
    await onEmptyServer(async (empty) => {
      const wanted = restore(empty, backup, { database: 'nostromo' });
      await expect(wanted).rejects.toThrow(code('restore.roles-missing'));
      await expect(wanted).rejects.toMatchObject({ hint: expect.stringContaining('--roles-only') });
      expect(await databasesOf(empty)).toEqual([]);
      const { target } = await restore(empty, backup, { database: 'nostromo', owner: false, to: 'y' });
      expect(target).toBe('y');
      const [row] = await sql<{ owner: string; open: boolean; memory: string }>(
        empty,
        'y',
        `SELECT tableowner AS owner, has_database_privilege('public', 'y', 'CONNECT') AS open, current_setting('work_mem') AS memory FROM pg_tables WHERE tablename = 'empty'`,
      );
      expect(row).toEqual({ owner: 'postgres', open: false, memory: '8MB' });
    });
  });

  test('that does not hold in the end what the dump says is dropped again', async () => {
    const text = (await readFile(backup.file)).toString('latin1');
    const fewer = text.replace('CREATE RULE two', 'TRUNCATE public.nothing;\nCREATE RULE two');
    const broken = await backup.with(Buffer.from(fewer, 'latin1'));
    const before = await databasesOf(server);
    const wanted = restore(server, broken, { database: 'nostromo' });
    await expect(wanted).rejects.toThrow(code('restore.mismatch'));
    await expect(wanted).rejects.toThrow(/table public.nothing: 0 rows, the backup has 1/);
    expect(await databasesOf(server)).toEqual(before);
  });
});

describe('roles alone', () => {
  test('come back where they are missing; those that are there stay as they are', async () => {
    await onEmptyServer(async (empty) => {
      await sql(empty, 'postgres', 'CREATE ROLE app NOLOGIN');
      const { compared, warnings } = await restore(empty, backup, { rolesOnly: true });
      expect(compared).toMatch(/^2 existing roles; created: roles "we ird/);
      expect(warnings.join('\n')).toMatch(/role app exists and is left as it is; in the backup it was LOGIN/);
      expect(await databasesOf(empty)).toEqual([]);
      const session = await openSession(parseConnection(empty.url), {
        applicationName: 'test',
        purpose: 'look',
      });
      const [row] = await session.query('SELECT rolcanlogin AS login FROM pg_roles WHERE rolname = $1', [
        'app',
      ]);
      await session.close();
      expect(row).toEqual({ login: false });
    });
  });

  test('cannot be asked for together with a database', async () => {
    const both = restore(server, backup, { rolesOnly: true, database: 'nostromo' });
    await expect(both).rejects.toThrow(code('restore.refused'));
  });
});
