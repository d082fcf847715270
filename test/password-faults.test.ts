import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { watchArguments } from './services/argument-watch.ts';
import { standIns } from './services/client-programs.ts';
import { createFleet, tenants } from './services/fleet.ts';
import {
  passwordPlaces,
  urlOf,
  type PasswordPlace,
  type PasswordPlaces,
} from './services/password-places.ts';
import { pgsilo, type Ended } from './services/pgsilo.ts';
import { startServer, type TestServer } from './services/server.ts';
import { filesIn } from './services/stored.ts';

const role = 'silo';
const password = `p@:/?#%&'" w\\Ord $(id) 7316`;
const wrong = `wr@ng:/?#%&'" \\ 9042`;

/** Each form in which a text may stand in an output: plain, in a URL, in JSON, in libpq's keywords, in a password file. */
function formsOf(text: string): string[] {
  const inQuotes = text.replaceAll('\\', '\\\\').replaceAll("'", "\\'");
  const inPasswordFile = text.replaceAll(/[\\:]/g, '\\$&');
  const inJson = JSON.stringify(text).slice(1, -1);
  return [...new Set([text, encodeURIComponent(text), inJson, inQuotes, inPasswordFile])];
}
const secrets = [...formsOf(password), ...formsOf(wrong)];

describe('a password', { timeout: 120_000 }, () => {
  let server: TestServer;
  let bin: string;
  let given: PasswordPlaces;
  let places = 0;

  beforeAll(async () => {
    server = await startServer();
    given = passwordPlaces(server, role);
    await createFleet(server, tenants.slice(0, 1));
    await server.query(
      'postgres',
      `CREATE ROLE ${role} LOGIN SUPERUSER PASSWORD ${pg.escapeLiteral(password)}`,
    );
    // Each says what it was given, then does its work.
    const record = `printf '%s\\n' "$0" "$@" >> '${join(server.folder, 'arguments')}'\nexec "$REAL" "$@"`;
    bin = standIns(server, { pg_dump: record, pg_dumpall: record, pg_restore: record });
  });
  afterAll(async () => server?.stop());

  const url = (secret?: string): string => urlOf(server, role, secret);

  interface Prepared {
    readonly name: string;
    readonly file: string;
    call(...parameters: readonly string[]): Promise<Ended>;
  }
  const prepare = ({ connection, env }: PasswordPlace): Prepared => {
    places += 1;
    const name = `place-${places}`;
    const file = `${name}.yaml`;
    writeFileSync(
      join(server.folder, file),
      `pipeline: ${name}\nsource:\n  use: database-per-tenant\n  connection: ${connection}\n  databases: [acme_db]\n  uncovered: ignore\n  bin: ${bin}\n` +
        `sinks:\n  - { use: local, path: ./store/${name} }\nlimits: { attempts: 1 }\n`,
    );
    // What lies in the home of whoever runs the tests is not read.
    const at = { cwd: server.folder, env: { HOME: server.folder, ...env } };
    return { name, file, call: (...parameters) => pgsilo(parameters, at) };
  };

  const expectNowhere = (text: string): void => {
    for (const secret of secrets) expect(text).not.toContain(secret);
  };

  it.each([
    'the URL, from a variable',
    'keywords and values',
    'the URL, from a file',
    'the pipeline file',
    'PGPASSWORD',
    'PGPASSFILE',
    'passfile= in the URL',
    'a service file',
  ])('in %s works with every character, and is in no argument, output, log or object', async (place) => {
    const { name, file, call } = prepare(given[place]!(password));
    const watch = watchArguments(secrets);
    const loud = ['--log-level', 'debug', '--log-format', 'json', '--json'];
    const outputs: Ended[] = [];
    try {
      const all = place === 'the URL, from a variable';
      for (const parameters of [
        ['backup', file],
        ['restore', file, 'acme_db', '--to', name],
        ...(all
          ? [
              ['plan', file],
              ['list', file],
              ['show', file, 'acme_db'],
              ['restore', file, '@globals'],
            ]
          : []),
      ]) {
        const ended = await call(...parameters, ...loud);
        outputs.push(ended);
        expect(`${parameters.join(' ')} ${ended.exit}\n${ended.exit === 0 ? '' : ended.stderr}`).toBe(
          `${parameters.join(' ')} 0\n`,
        );
      }
      if (all) outputs.push(await call('backup', file, '--log-level', 'debug'));
    } finally {
      watch.stop();
    }
    for (const { all } of outputs) expectNowhere(all);
    expect([...watch.found]).toEqual([]);
    const programs = readFileSync(join(server.folder, 'arguments'), 'utf8');
    for (const program of ['pg_dump\n', 'pg_dumpall\n', 'pg_restore\n']) expect(programs).toContain(program);
    expectNowhere(programs);
    const store = join(server.folder, 'store', name);
    const stored = filesIn(store);
    expect(stored.filter((path) => path.endsWith('/database.dump'))).not.toEqual([]);
    for (const path of stored) expectNowhere(readFileSync(join(store, path), 'latin1'));
  });

  it('in --to-server is in no argument, output or log either', async () => {
    const { file, call } = prepare({
      connection: '${env:SILO_URL}',
      env: { SILO_URL: server.url, TARGET: url(password), BROKEN: url(wrong) },
    });
    expect((await call('backup', file)).exit).toBe(0);
    const watch = watchArguments(secrets);
    const loud = ['--log-level', 'debug', '--json'];
    try {
      const good = await call(
        'restore',
        file,
        'acme_db',
        '--to',
        'elsewhere',
        '--to-server',
        'env:TARGET',
        ...loud,
      );
      expect(good.exit).toBe(0);
      expectNowhere(good.all);
      const bad = await call(
        'restore',
        file,
        'acme_db',
        '--to',
        'nowhere',
        '--to-server',
        'env:BROKEN',
        ...loud,
      );
      expect(bad.exit).toBe(3);
      expect(bad.json<any>()['error'].code).toBe('source.denied');
      expectNowhere(bad.all);
    } finally {
      watch.stop();
    }
    expect([...watch.found]).toEqual([]);
  });

  const commands = (file: string): readonly (readonly string[])[] => [
    ['backup', file],
    ['backup', file, '--log-level', 'debug'],
    ['restore', file, 'acme_db', '--replace', '--yes', '--log-level', 'debug'],
  ];

  it.each(['the URL, from a variable', 'PGPASSWORD', 'PGPASSFILE'])(
    'that is wrong (in %s) is one clear error, which does not show it',
    async (place) => {
      // For the restore: a backup made with the right one.
      const { file, call } = prepare(given[place]!(password));
      expect((await call('backup', file)).exit).toBe(0);
      const stored = filesIn(join(server.folder, 'store'));
      const { env } = given[place]!(wrong);
      for (const command of commands(file)) {
        const { exit, stdout, stderr, all } = await pgsilo(command, {
          cwd: server.folder,
          env: { ...env, HOME: server.folder },
        });
        expect(exit).toBe(3);
        expect(stdout).toBe('');
        expect(stderr.match(/^ code .*$/gm)).toEqual([' code  source.denied']);
        expect(stderr).toMatch(/^error .*password authentication failed for user "silo"/m);
        expect(stderr).toMatch(/^ next .*password/m);
        expectNowhere(all);
      }
      expect(filesIn(join(server.folder, 'store'))).toEqual(stored);
      expect(await server.sessionsOfPgsilo()).toEqual([]);
    },
  );

  it('that is missing is said to be missing, and where it can be given', async () => {
    const { file, call } = prepare({ connection: url(), env: {} });
    for (const [command, ...more] of [['backup'], ['plan'], ['doctor']]) {
      const { all, exit } = await call(command!, file, ...more!);
      expect(exit).toBe(command === 'doctor' ? 1 : 3);
      expect(all).toContain('the server wants a password, and none was given');
      expect(all).toMatch(/PGPASSWORD/);
      expect(all).not.toMatch(/error .*SASL/);
    }
  });

  it('in a password file that others may read is not used, and the error says so', async () => {
    const { file, call } = prepare(given['a password file that others may read']!(password));
    const { exit, stderr } = await call('backup', file);
    expect(exit).toBe(3);
    expect(stderr).toMatch(/the password file .*secret-\d+ is not used, because others may read it/s);
    expect(stderr).toContain('0600');
    expectNowhere(stderr);
  });

  it('that is not encoded in a URL is a mistake of the file, which does not show it', async () => {
    const { file, call } = prepare({
      connection: '${env:SILO_URL}',
      env: { SILO_URL: `postgresql://${role}:${password}@127.0.0.1:${server.port}/postgres` },
    });
    for (const command of [
      ['validate', file],
      ['backup', file],
      ['backup', file, '--log-level', 'debug', '--json'],
    ]) {
      const { exit, all } = await call(...command);
      expect(exit).toBe(2);
      expect(all).toContain('percent-encoded');
      expectNowhere(all);
      expect(all).not.toContain('7316');
    }
  });
});
