import { execFileSync } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { testContext } from '@pgsilo/testkit';
import { startPostgres, type ThrowawayPostgres } from '@pgsilo/testkit/postgres';
import { ContentsReader } from '../src/contents.ts';
import { inspectCluster } from '../src/inspect.ts';
import { clusterUnit } from '../src/plan.ts';
import { backUp, dumpOf, removeBackups, sourceOf, sql } from './cluster.ts';
import { fillHostile, hostileNames } from './hostile-server.ts';

let server: ThrowawayPostgres;
beforeAll(async () => {
  server = await startPostgres();
  await fillHostile(server);
});
afterAll(async () => {
  await removeBackups();
  await server.stop();
});

const code = (name: string): unknown => expect.objectContaining({ code: name });

function namesIn(dump: Uint8Array): string[] {
  const reader = new ContentsReader();
  reader.push(dump);
  return reader.end().databases.map(({ name }) => name);
}

/** A folder with a pg_dumpall of our own, whose script finds the real one as $REAL. */
async function withProgram<T>(script: string, work: (bin: string) => Promise<T>): Promise<T> {
  const bin = await mkdtemp(join(tmpdir(), 'pgsilo-bin-'));
  try {
    for (const name of ['pg_dump', 'psql']) await symlink(join(server.bin, name), join(bin, name));
    const real = join(server.bin, 'pg_dumpall');
    const head = `#!/bin/sh\nREAL=${real}\n[ "$1" = --version ] && exec $REAL --version\n`;
    await writeFile(join(bin, 'pg_dumpall'), head + script);
    await chmod(join(bin, 'pg_dumpall'), 0o755);
    return await work(bin);
  } finally {
    await rm(bin, { recursive: true, force: true });
  }
}

describe('a backup of a whole server', () => {
  test('is what pg_dumpall writes, and says what it holds', async () => {
    const { file, facts } = await backUp(server);
    const plain = (dump: Buffer): string => dump.toString('latin1').replaceAll(/restrict \w+/g, 'restrict');
    expect(plain(await readFile(file))).toBe(plain(dumpOf(server)));
    expect(facts).toMatchObject({
      status: 'good',
      server: { version: expect.stringMatching(/^\d+\.\d+/) },
      tool: expect.stringMatching(/^pg_dumpall \d/),
      about: { databases: hostileNames.length + 6, roles: 3, tables: 18, rows: 24, passwords: true },
    });
    expect(namesIn(await readFile(file)).sort()).toEqual(
      [...hostileNames, 'evil', 'latin', 'legacy', 'nostromo', 'postgres', 'template1'].sort(),
    );
  });

  test('cut anywhere is refused', async () => {
    const { file } = await backUp(server);
    const whole = await readFile(file);
    for (let length = 0; length < whole.length; length += length > whole.length - 300 ? 1 : 97) {
      const reader = new ContentsReader();
      expect(() => {
        reader.push(whole.subarray(0, length));
        reader.end();
      }, `cut to ${length} of ${whole.length} bytes`).toThrow(code('source.archive-invalid'));
    }
  });

  test('of which the part of one database is gone, or doubled, is refused', async () => {
    const backup = await backUp(server);
    const text = (await readFile(backup.file)).toString('latin1');
    const context = testContext();
    const changed = {
      'its closing line': text.replace('-- PostgreSQL database dump complete\n', '-- \n'),
      'a database twice': text
        .replaceAll('DATABASE legacy ', 'DATABASE latin ')
        .replaceAll('\\connect legacy\n', '\\connect latin\n'),
      'another database than the one that was made': text.replaceAll(
        '\\connect evil\n',
        '\\connect nowhere\n',
      ),
      'more behind the end': `${text}SELECT 1;\n`,
    };
    for (const [what, other] of Object.entries(changed)) {
      const view = await backup.with(Buffer.from(other, 'latin1'));
      const failure = await inspectCluster(view, context).catch((error: unknown) => error);
      expect({ what, failure }).toEqual({ what, failure: code('source.archive-invalid') });
    }
    const { summary } = await inspectCluster(backup, context);
    expect(summary).toBe('17 databases, 3 roles, 18 tables, 24 rows');
    await context.dispose();
  });

  test('leaves out what it is told to, by exact names', async () => {
    const exclude = [...hostileNames.map((name) => name.replaceAll(/[*?[]/g, '[$&]')), 'l*'];
    const { file } = await backUp(server, { excludeDatabase: exclude });
    expect(namesIn(await readFile(file)).sort()).toEqual(['evil', 'nostromo', 'postgres', 'template1']);
  });

  test('can be of roles or of globals alone, with passwords or without', async () => {
    for (const written of [{ rolesOnly: true }, { globalsOnly: true, noRolePasswords: true }]) {
      const { file, facts } = await backUp(server, written);
      const text = (await readFile(file)).toString();
      expect(namesIn(Buffer.from(text))).toEqual([]);
      expect(text.includes('SCRAM-SHA-256')).toBe('rolesOnly' in written);
      expect(facts.about).toMatchObject({ databases: 0, roles: 3 });
    }
  });
});

describe('a pg_dumpall that does not come to its end', () => {
  const broken: readonly [string, string][] = [
    ['prints half and exits with 0', '$REAL "$@" | head -c 9000\nexit 0\n'],
    ['prints all but its last line and exits with 0', '$REAL "$@" | head -n -1\nexit 0\n'],
    ['prints nothing and exits with 0', 'exit 0\n'],
    ['prints all and exits with 1', '$REAL "$@"\nexit 1\n'],
    ['prints more behind its end', '$REAL "$@"\necho "SELECT 1;"\n'],
    ['is killed', '$REAL "$@" | head -c 9000\nkill -9 $$\n'],
  ];
  test.each(broken)('and %s makes no backup', async (_what, script) => {
    await withProgram(script, async (bin) => {
      await expect(backUp(server, { bin })).rejects.toThrow(code('source.incomplete'));
    });
  });

  test('because its pg_dump is killed makes no backup', async () => {
    await sql(
      server,
      'evil',
      'CREATE TABLE big AS SELECT g, md5(g::text) AS t FROM generate_series(1, 200000) g',
    );
    const context = testContext();
    const source = sourceOf(server);
    const job = { id: 'cluster', units: [clusterUnit] };
    let killed = false;
    const read = async (): Promise<void> => {
      for await (const item of source.read(job, { ...context, label: 'killed' })) {
        if (item.type !== 'artifact') continue;
        let bytes = 0;
        for await (const chunk of item.body) {
          bytes += chunk.length;
          if (killed || !Buffer.from(chunk).includes('COPY public.big')) continue;
          const rows = await sql<{ pid: number }>(
            server,
            'postgres',
            `SELECT pid FROM pg_stat_activity WHERE datname = 'evil'`,
          );
          expect(rows, `sessions of pg_dump after ${bytes} bytes`).toHaveLength(1);
          const pids = execFileSync('pgrep', ['-f', `pg_dump .*dbname='?evil`], { encoding: 'utf8' });
          for (const pid of pids.trim().split('\n'))
            if (isOurs(Number(pid))) process.kill(Number(pid), 'SIGKILL');
          killed = true;
        }
      }
    };
    await expect(read()).rejects.toThrow(code('source.incomplete'));
    expect(killed).toBe(true);
    await source.close();
    await sql(server, 'evil', 'DROP TABLE big');
    await context.dispose();
  });
});

/** Whether a process descends from this one. */
function isOurs(pid: number): boolean {
  for (let at = pid; at > 1;) {
    if (at === process.pid) return true;
    at = Number(execFileSync('ps', ['-o', 'ppid=', '-p', String(at)], { encoding: 'utf8' }).trim());
  }
  return false;
}
