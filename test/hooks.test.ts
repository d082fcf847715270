import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { contentOf } from './services/equality.ts';
import { createFleet, tenants, writePipeline } from './services/fleet.ts';
import { descendantsOf } from './services/process-tree.ts';
import { pgsilo, pgsiloOk, startPgsilo, type CallOptions, type Ended } from './services/pgsilo.ts';
import { startServer, until, type TestServer } from './services/server.ts';
import { filesIn } from './services/stored.ts';

describe('hooks', { timeout: 120_000 }, () => {
  let server: TestServer;
  let at: CallOptions;
  let good: string[];
  const names = ['acme_db', 'globex_db', 'postgres', 'vigia_master'];

  beforeAll(async () => {
    server = await startServer();
    await createFleet(server, tenants.slice(0, 2));
    at = { cwd: server.folder, env: { VIGIA_URL: server.url, PAGER: 'pager-token-4711' } };
    await pgsiloOk(['backup', pipeline({})], at);
    good = await contentOf(server, 'acme_db');
  });
  afterAll(async () => server?.stop());

  beforeEach(async () => {
    rmSync(join(server.folder, 'told'), { force: true });
    for (const name of await server.databases())
      if (!names.includes(name)) await server.query('postgres', `DROP DATABASE "${name}"`);
  });

  interface Command {
    readonly run: readonly string[];
    readonly timeout?: string;
    readonly env?: readonly string[];
  }

  function pipeline(hooks: Readonly<Record<string, readonly Command[]>>): string {
    return writePipeline(server, { more: `hooks: ${JSON.stringify(hooks)}` });
  }

  /** Writes down which hook runs and what it is told. */
  const tells: Command = {
    run: [
      'sh',
      '-c',
      'echo "$PGSILO_HOOK $PGSILO_PIPELINE $${PGSILO_UNIT--} $${PGSILO_TARGET--} $${PGSILO_STATUS--} $${PGSILO_REASON--}" >> told',
    ],
  };
  const told = (): string[] =>
    existsSync(join(server.folder, 'told'))
      ? readFileSync(join(server.folder, 'told'), 'utf8').trim().split('\n')
      : [];
  const all = {
    'before-backup': [tells],
    'after-backup': [tells],
    'before-restore': [tells],
    'after-restore': [tells],
    'before-swap': [tells],
    'after-swap': [tells],
  };
  const replace = (...more: string[]): Promise<Ended> =>
    pgsilo(['restore', 'vigia.yaml', 'acme', '--replace', '--yes', '--json', ...more], at);

  it('run around a restore, the backup of what it replaces, and the moment of the swap', async () => {
    await server.query('acme_db', 'DELETE FROM app.customers');
    // What an application would find: the old rows before the swap, the new ones after it.
    const looks: Command = {
      run: [
        `${server.bin}/psql`,
        '--no-psqlrc',
        '--tuples-only',
        '--no-align',
        '--output=seen',
        '--command=SELECT count(*) FROM app.customers',
      ],
      env: ['PGHOST', 'PGPORT', 'PGUSER', 'PGPASSWORD', 'PGDATABASE'],
    };
    const keeps = (name: string): Command => ({ run: ['mv', 'seen', name] });
    const file = pipeline({
      ...all,
      'before-swap': [tells, looks, keeps('old')],
      'after-swap': [looks, keeps('new'), tells],
    });
    const { host, port, user, password } = server;
    const env = {
      ...at.env,
      PGHOST: host,
      PGPORT: String(port),
      PGUSER: user,
      PGPASSWORD: password,
      PGDATABASE: 'acme_db',
    };
    const ended = await pgsilo(['restore', file, 'acme', '--replace', '--yes', '--json'], { ...at, env });
    expect(ended).toMatchObject({ exit: 0 });
    expect(ended.json()['failedHooks']).toEqual([]);
    expect(told()).toEqual([
      'before-restore vigia acme acme_db - -',
      'before-backup vigia - - - before-restore',
      'after-backup vigia - - ok before-restore',
      'before-swap vigia acme acme_db - -',
      'after-swap vigia acme acme_db ok -',
      'after-restore vigia acme acme_db ok -',
    ]);
    expect(['old', 'new'].map((name) => Number(readFileSync(join(server.folder, name), 'utf8')))).toEqual([
      0, 300,
    ]);
    expect(await contentOf(server, 'acme_db')).toEqual(good);
  });

  it('before the swap that fail leave the live one as it is, and what was stopped is started again', async () => {
    await server.query('acme_db', 'DELETE FROM app.events');
    const live = await contentOf(server, 'acme_db');
    pipeline({ ...all, 'before-swap': [tells, { run: ['sh', '-c', 'exit 3'] }] });
    const ended = await replace('--no-safety-backup');
    expect(ended).toMatchObject({ exit: 3 });
    expect(ended.json()['error']).toMatchObject({
      code: 'hook.failed',
      message: expect.stringContaining('before-swap hook "sh" exited with 3'),
    });
    expect(told().slice(-3)).toEqual([
      'before-swap vigia acme acme_db - -',
      'after-swap vigia acme acme_db failed -',
      'after-restore vigia acme acme_db failed -',
    ]);
    expect(await contentOf(server, 'acme_db')).toEqual(live);
    expect(await server.databases()).toEqual(names);
  });

  it('after the swap that fail make the exit status 1; the restored one is in its place', async () => {
    pipeline({ 'after-swap': [{ run: ['no-such-program-4711'] }] });
    const ended = await replace('--no-safety-backup');
    expect(ended).toMatchObject({ exit: 1 });
    expect(ended.json()['failedHooks']).toMatchObject([
      { hook: 'after-swap', error: { code: 'hook.failed' } },
    ]);
    expect(await contentOf(server, 'acme_db')).toEqual(good);
  });

  it('before a restore that hang are ended, and nothing is begun', async () => {
    pipeline({ 'before-restore': [{ run: ['sleep', '60'], timeout: '500ms' }], 'before-backup': [tells] });
    const ended = await replace();
    expect(ended).toMatchObject({ exit: 3 });
    expect(ended.json()['error'].message).toContain('took longer than 0.5 s');
    expect(told()).toEqual([]);
    expect(await server.databases()).toEqual(names);
  });

  it('before a run that fail keep it from beginning: nothing is in the sinks', async () => {
    const store = join(server.folder, 'store');
    const before = filesIn(store);
    pipeline({ 'before-backup': [{ run: ['false'] }, tells], 'after-backup': [tells] });
    const ended = await pgsilo(['backup', 'vigia.yaml', '--json'], at);
    expect(ended).toMatchObject({ exit: 3 });
    expect(ended.json()['runs'][0]).toMatchObject({ exit: 3, error: { code: 'hook.failed' } });
    expect(filesIn(store)).toEqual(before);
    expect(told()).toEqual(['after-backup vigia - - failed -']);
  });

  it('after a run that fail make the exit status 1, and every backup is there; no secret gets out', async () => {
    const prints: Command = {
      run: ['sh', '-c', `env; echo "$PAGER"; echo '${server.password}'; exit 9`],
      env: ['PAGER'],
    };
    pipeline({ 'after-backup': [prints, tells] });
    const ended = await pgsilo(['backup', 'vigia.yaml', '--json'], at);
    expect(ended).toMatchObject({ exit: 1 });
    const { report } = ended.json()['runs'][0];
    expect(report).toMatchObject({
      status: 'partial',
      failedHooks: [{ hook: 'after-backup', error: { code: 'hook.failed' } }],
    });
    expect(report.units.every(({ status }: { status: string }) => status === 'good')).toBe(true);
    expect(told()).toEqual(['after-backup vigia - - ok -']);
    expect(ended.stderr).toContain('after-backup: PGSILO_STATUS=ok');
    expect(ended.all).not.toContain(server.password);
    expect(ended.all).not.toContain('VIGIA_URL=');
    expect(ended.all).not.toContain('pager-token-4711');
    const quiet = await pgsilo(['backup', 'vigia.yaml', '--quiet'], at);
    expect(quiet.exit).toBe(1);
    expect(quiet.stdout).toContain('after-backup hook "sh" exited with 9');
  });

  it('at Ctrl-C end with it, leave no child, and those after still run', async () => {
    pipeline({ 'before-backup': [{ run: ['sh', '-c', 'sleep 60 & sleep 61'] }], 'after-backup': [tells] });
    const run = startPgsilo(['backup', 'vigia.yaml'], at);
    const children = await until('the hook runs', async () => {
      const found = await descendantsOf(run.pid);
      return found.filter(({ command }) => command.startsWith('sleep')).length === 2 ? found : undefined;
    });
    run.kill('SIGINT');
    expect((await run.result).exit).toBe(130);
    expect(told()).toEqual(['after-backup vigia - - aborted -']);
    await expectEnded(children);
  });

  it('do not outlive a pgsilo that is stopped by a second Ctrl-C', async () => {
    pipeline({ 'after-backup': [{ run: ['sh', '-c', `trap '' TERM INT; sleep 60 & wait; wait`] }] });
    const run = startPgsilo(['backup', 'vigia.yaml', '--only', 'globex'], at);
    const children = await until('the hook runs', async () => {
      const found = await descendantsOf(run.pid);
      return found.some(({ command }) => command.startsWith('sleep')) ? found : undefined;
    });
    run.kill('SIGINT');
    await until('the first was heard', () => run.said().includes('a second SIGINT'));
    run.kill('SIGINT');
    expect((await run.result).exit).toBe(130);
    await expectEnded(children);
  });

  const expectEnded = async (children: readonly { readonly pid: number }[]): Promise<void> => {
    expect(children.length).toBeGreaterThan(0);
    const numbers = children.map(({ pid }) => String(pid));
    await until('the children are gone', async () => {
      const alive = await descendantsOf(1);
      return !alive.some(({ pid }) => numbers.includes(String(pid)));
    });
  };
});
