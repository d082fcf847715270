import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { folderForServer, serverUser } from '@pgsilo/testkit/postgres';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mayReadCheckout } from './services/checkout.ts';
import { cleanEnvironment, pgsiloOk, type CallOptions } from './services/pgsilo.ts';
import { startServer, until, type TestServer } from './services/server.ts';

const count = 16;

// Each stands on those before it.
describe.skipIf(!mayReadCheckout())('segments that wait', { timeout: 300_000 }, () => {
  let folder: string;
  let server: TestServer;
  let at: CallOptions;
  let file: string;
  /** SHA-256 of each segment that waits, by name. */
  const hashes = new Map<string, string>();

  beforeAll(async () => {
    folder = folderForServer();
    server = await startServer({
      settings: {
        archive_mode: 'on',
        archive_command: 'false',
        checkpoint_timeout: '1h',
        max_wal_size: '1GB',
      },
      initdb: ['--wal-segsize=1'],
    });
    file = join(folder, 'files.yaml');
    writePipeline('limits: { bytesPerSecond: 16MB }');
    at = { cwd: folder, env: {} };
    for (let each = 0; each < count; each += 1) {
      await server.query(
        'postgres',
        `CREATE TABLE t${each} AS SELECT md5(i::text) FROM generate_series(1, 9000) i`,
      );
      await server.query('postgres', 'SELECT pg_switch_wal()');
    }
    for (const name of waiting())
      hashes.set(name, sha(readFileSync(join(server.dataFolder, 'pg_wal', name))));
  });
  afterAll(async () => {
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
  const waiting = (): string[] =>
    readdirSync(join(server.dataFolder, 'pg_wal/archive_status'))
      .filter((name) => name.endsWith('.ready'))
      .map((name) => basename(name, '.ready'))
      .sort();
  const store = (): string => join(folder, 'store');
  const notes = (): string => join(server.dataFolder, 'pg_wal/pgsilo');
  function writePipeline(limits: string): void {
    const [bin, url, path] = [server.bin, server.url, store()].map((each) => JSON.stringify(each));
    writeFileSync(
      file,
      `pipeline: files\nsource: { use: basebackup, connection: ${url}, bin: ${bin} }\nsinks: [{ use: local, path: ${path}${limits === '' ? '' : `, ${limits}`} }]\n`,
    );
    chmodSync(file, 0o644);
  }
  const emptyStore = (): void => {
    for (const path of [store(), notes()]) rmSync(path, { recursive: true, force: true });
    mkdirSync(store());
    const identity = serverUser();
    if (identity) chownSync(store(), identity.uid, identity.gid);
  };
  /** Names in the store; throws for an object that is not what its key says. */
  function stored(): Set<string> {
    const path = join(store(), 'files/wal/00000001');
    const found = new Set<string>();
    for (const key of existsSync(path) ? readdirSync(path) : []) {
      const [name, digits] = key.split('-') as [string, string];
      const whole = sha(readFileSync(join(path, key)));
      if (!whole.startsWith(digits) || (hashes.get(name) ?? whole) !== whole)
        throw new Error(`${key} is not ${name}`);
      found.add(name);
    }
    return found;
  }
  function noted(): string[] {
    if (!existsSync(notes())) return [];
    const [place = ''] = readdirSync(notes());
    return readdirSync(join(notes(), place)).filter((name) => !name.startsWith('.'));
  }

  it('are in the archive, whole, before anything says so, whenever a push is killed', async () => {
    const [first] = waiting();
    expect(hashes.size).toBeGreaterThanOrEqual(count);
    let [midway, done] = [0, 0];
    for (let moment = 0; moment < 20; moment += 1) {
      emptyStore();
      const child = spawn('pgsilo', ['wal', 'push', file, `pg_wal/${first}`, '--quiet'], {
        ...serverUser(),
        cwd: server.dataFolder,
        env: cleanEnvironment(),
        stdio: 'ignore',
      });
      const ended = once(child, 'exit');
      // From before it stores anything on, in steps that fall into all of its course.
      await until('it works', () => child.exitCode !== null || stored().size > 0 || moment === 0);
      await sleep(moment * 55);
      child.kill('SIGKILL');
      const [status] = (await ended) as [number | null];
      const there = stored();
      const said = noted();
      const claimed = status === 0 ? [first!, ...said] : said;
      expect(claimed.filter((name) => !there.has(name))).toEqual([]);
      if (status === 0) done += 1;
      else if (there.size > 1 && there.size < hashes.size) midway += 1;
    }
    // It was killed in the middle indeed, and not always too early.
    expect(midway).toBeGreaterThan(5);
    expect(done + midway).toBeGreaterThan(8);
  });

  it('are pushed by few calls, and each of the others ends in the shell', async () => {
    writePipeline('');
    emptyStore();
    const shown = await pgsiloOk(['wal', 'setup', file, '--json'], at);
    const settings = shown.json().settings as { readonly name: string; readonly wanted: string }[];
    const line = settings.find(({ name }) => name === 'archive_command')!.wanted;
    // In the place of node and pgsilo what counts calls before it does the same.
    const [, program] = /('[^']*' '[^']*') 'wal' 'push' /.exec(line) ?? [];
    const calls = join(folder, 'calls');
    const counting = join(folder, 'counting.sh');
    writeFileSync(calls, '');
    chmodSync(calls, 0o666);
    writeFileSync(counting, `#!/bin/sh\necho "$4" >> '${calls}'\nexec ${program} "$@"\n`);
    chmodSync(counting, 0o755);
    const before = waiting();
    await server.query(
      'postgres',
      `ALTER SYSTEM SET archive_command = '${line.replace(program!, counting).replaceAll("'", "''")}'`,
    );
    await server.query('postgres', 'SELECT pg_reload_conf()');
    await until('all are archived', () => waiting().length === 0, 120);
    const there = stored();
    expect(before.filter((name) => !there.has(name))).toEqual([]);
    expect([...hashes.keys()].filter((name) => !there.has(name))).toEqual([]);
    const started = readFileSync(calls, 'utf8').split('\n').length - 1;
    // The first of all, and what the server has ended meanwhile.
    expect(started).toBeGreaterThan(0);
    expect(started).toBeLessThanOrEqual(3);
    const [archiver] = await server.query(
      'postgres',
      'SELECT archived_count::int AS files FROM pg_stat_archiver',
    );
    expect(archiver!['files']).toBeGreaterThanOrEqual(count);
  });

  it('are pushed behind one that is in conflict, which the server hands out again and again', async () => {
    await server.query('postgres', `ALTER SYSTEM SET archive_command = 'false'`);
    await server.query('postgres', 'SELECT pg_reload_conf()');
    for (let each = 0; each < 3; each += 1) {
      await server.query('postgres', `CREATE TABLE u${each} AS SELECT 1`);
      await server.query('postgres', 'SELECT pg_switch_wal()');
    }
    const [bad, ...good] = await until('they wait', () => (waiting().length >= 3 ? waiting() : undefined));
    const identity = serverUser();
    const rival = join(store(), 'files/wal/00000001', `${bad}-0123456789abcdef`);
    writeFileSync(rival, 'of another server');
    if (identity) chownSync(rival, identity.uid, identity.gid);
    await pgsiloOk(['wal', 'setup', file, '--apply', '--force', '--quiet'], at);
    await until(
      'the others are stored',
      () => {
        const keys = readdirSync(join(store(), 'files/wal/00000001'));
        return good.every((name) => keys.some((key) => key.startsWith(name)));
      },
      60,
    );
    await until(
      'the conflict is told',
      () => readFileSync(server.logFile, 'utf8').includes('wal.conflict'),
      60,
    );
    expect(waiting()).toContain(bad);
    rmSync(rival);
    await until('all are archived', () => waiting().length === 0, 120);
  });
});
