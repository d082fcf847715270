import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { PgsiloError, Secret } from '@pgsilo/plugin';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { withHooks } from '../src/hooks.ts';
import type { Hook, HookedCall, PipelineHooks } from '../src/hooks.ts';
import { silent } from './fakes.ts';

const folder = mkdtempSync(join(tmpdir(), 'pgsilo-hooks-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const file = join(folder, 'said');
const said = (): string[] => readFileSync(file, 'utf8').split('\n').filter(Boolean);
let logged: string[] = [];
beforeEach(() => {
  writeFileSync(file, '');
  logged = [];
});
const log = {
  ...silent,
  info: (line: string) => void logged.push(line),
  warn: (line: string) => void logged.push(line),
};

const hook = (run: readonly string[], more: Partial<Hook> = {}): Hook => ({
  run,
  timeout: 10_000,
  env: [],
  ...more,
});
/** Appends what the shell makes of the words to the file. */
const says = (words: string): Hook => hook(['sh', '-c', `echo "${words}" >> said`]);

function pipeline(commands: PipelineHooks['commands'], env: PipelineHooks['env'] = {}) {
  return { name: 'vigia', log, hooks: { commands, folder, env: { PATH: process.env['PATH'], ...env } } };
}

const call = (more: Partial<HookedCall<string>> = {}): HookedCall<string> => ({
  around: 'backup',
  facts: {},
  signal: new AbortController().signal,
  ...more,
});

const work = async (): Promise<string> => {
  writeFileSync(file, 'work\n', { flag: 'a' });
  return 'done';
};

/** Whether the process whose number a hook wrote down has ended; one that nobody has asked for its status yet has, too. */
async function isGone(): Promise<boolean> {
  for (let tries = 0; tries < 50; tries += 1) {
    const { stdout } = spawnSync('ps', ['-o', 'stat=', '-p', said()[0]!], { encoding: 'utf8' });
    if (/^\s*(Z|$)/.test(stdout)) return true;
    await delay(20);
  }
  return false;
}

describe('hooks', () => {
  it('run before and after the work, in order, and are told what it is about and how it ended', async () => {
    const about = '$PGSILO_HOOK $PGSILO_PIPELINE $PGSILO_UNIT $PGSILO_BACKUP ${PGSILO_STATUS-none}';
    const commands = {
      'before-restore': [says(`1 ${about}`), says('2')],
      'after-restore': [says(`3 ${about} $PGSILO_TARGET`), says('4')],
      'before-swap': [says('never')],
    };
    const facts = { unit: `o'"\`$(id)\n`, backup: 'b1' };
    const asked = call({
      around: 'restore',
      facts,
      statusOf: () => 'partial',
      factsOf: () => ({ target: 'acme' }),
    });
    await expect(withHooks(pipeline(commands), asked, work)).resolves.toEqual({
      result: 'done',
      failedHooks: [],
    });
    expect(said()).toEqual([
      `1 before-restore vigia o'"\`$(id)`, ' b1 none', '2', 'work',
      `3 after-restore vigia o'"\`$(id)`, ' b1 partial acme', '4',
    ]); // prettier-ignore
  });

  it('get words as they are: nothing in them is read by a shell', async () => {
    const words = ['$HOME', '`id`', '*', 'a b', '"', "'", '; touch gone', ''];
    const list = hook([
      process.execPath,
      '-e',
      'fs.writeFileSync("said", JSON.stringify(process.argv.slice(1)))',
      '--',
      ...words,
    ]);
    await withHooks(pipeline({ 'before-backup': [list] }), call(), async () => '');
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(words);
  });

  it('get of the environment what is harmless and what they name', async () => {
    const env = {
      HOME: '/home/x',
      PGPASSWORD: 'geheim-1',
      AWS_SECRET_ACCESS_KEY: 'geheim-2',
      PGSILO_TO_SERVER: 'geheim-3',
      TOKEN: 'token-4711',
    };
    const printing = hook(['sh', '-c', 'env > said; echo "token: $TOKEN"'], { env: ['TOKEN'] });
    await withHooks(pipeline({ 'before-backup': [printing] }, env), call(), async () => '');
    const names = said().map((line) => line.split('=')[0]);
    expect(names).toEqual(
      expect.arrayContaining(['PATH', 'HOME', 'TOKEN', 'PGSILO_HOOK', 'PGSILO_PIPELINE']),
    );
    expect(said().join('\n')).not.toContain('geheim');
    expect(logged).toContain('before-backup: token: [secret]');
  });

  it('show their output in the log, both streams, without secrets, long and endless output cut', async () => {
    new Secret('pass-word-in-the-middle').reveal();
    const script = `
      console.log('first: pass-word-in-the-middle.');
      console.error('second');
      console.log('x'.repeat(100) + 'pass-word-in-the-middle'.repeat(30_000));
      for (let i = 0; i < 5000; i += 1) console.log('line ' + i);`;
    await withHooks(pipeline({ 'before-backup': [hook([process.execPath, '-e', script])] }), call(), work);
    expect(logged).toContain('before-backup: first: [secret].');
    expect(logged).toContain('before-backup: second');
    expect(logged.join('\n')).not.toMatch(/pass-word|word-in/);
    expect(Math.max(...logged.map((line) => line.length))).toBeLessThan(4200);
    expect(logged.length).toBeLessThan(1010);
    expect(logged.at(-1)).toContain('the others are not shown');
  });

  it.each([
    ['exits with another status', hook(['sh', '-c', 'exit 7']), 'exited with 7'],
    ['is killed', hook(['sh', '-c', 'kill -9 $$']), 'was ended by SIGKILL'],
    ['is not there', hook(['no-such-program-4711']), 'could not be started'],
    ['has a word that no program can get', hook(['echo', 'a\0b']), 'could not be started'],
    ['hangs', hook(['sh', '-c', 'sleep 60'], { timeout: 200 }), 'took longer than 0.2 s'],
    ['wants what is not set', hook(['true'], { env: ['NOT_SET'] }), 'NOT_SET, which is not set'],
  ])('before the work that %s: stops all but the hooks after it', async (_what, failing, message) => {
    const commands = {
      'before-backup': [says('before'), failing, says('not this one')],
      'after-backup': [says('after $PGSILO_STATUS $PGSILO_ERROR')],
    };
    const outcome = withHooks(pipeline(commands), call(), work);
    await expect(outcome).rejects.toMatchObject({
      code: 'hook.failed',
      exit: 3,
      message: expect.stringContaining(message),
    });
    expect(said()).toEqual(['before', 'after failed hook.failed']);
  });

  it('after the work that fail are returned, and do not keep the others from running', async () => {
    const commands = { 'after-backup': [hook(['false']), says('second'), hook(['no-such-program-4711'])] };
    const { result, failedHooks } = await withHooks(pipeline(commands), call(), work);
    expect(result).toBe('done');
    expect(said()).toEqual(['work', 'second']);
    expect(failedHooks.map(({ hook, error }) => [hook, error.code])).toEqual([
      ['after-backup', 'hook.failed'],
      ['after-backup', 'hook.failed'],
    ]);
  });

  it('run after work that failed, and a failure of theirs stands beside its error', async () => {
    const commands = { 'after-backup': [says('after $PGSILO_STATUS $PGSILO_ERROR'), hook(['false'])] };
    const outcome = withHooks(pipeline(commands), call(), () =>
      Promise.reject(new PgsiloError('source.unreachable', 'no server')),
    );
    await expect(outcome).rejects.toMatchObject({
      code: 'source.unreachable',
      message: expect.stringMatching(/^no server\nBesides: the after-backup hook "false" exited with 1$/),
    });
    expect(said()).toEqual(['after failed source.unreachable']);
  });

  it('before the work that are interrupted end with it; those after it still run', async () => {
    const controller = new AbortController();
    const commands = {
      'before-backup': [hook(['sh', '-c', 'echo $$ >> said; sleep 60 & wait'])],
      'after-backup': [says('after $PGSILO_STATUS')],
    };
    const outcome = withHooks(pipeline(commands), call({ signal: controller.signal }), work);
    while (said().length === 0) await delay(20);
    controller.abort(new PgsiloError('aborted', 'interrupted by SIGINT'));
    await expect(outcome).rejects.toMatchObject({ code: 'aborted' });
    expect(await isGone()).toBe(true);
    expect(said().slice(1)).toEqual(['after aborted']);
  });

  it(
    'leave no children: neither when they hang, deaf to SIGTERM, nor when they exit and leave some',
    { timeout: 30_000 },
    async () => {
      const deaf = `trap '' TERM; (trap '' TERM; sleep 60) & echo $! >> said; wait`;
      const hanging = withHooks(
        pipeline({ 'before-backup': [hook(['sh', '-c', deaf], { timeout: 300 })] }),
        call(),
        work,
      );
      await expect(hanging).rejects.toMatchObject({ code: 'hook.failed' });
      expect(await isGone()).toBe(true);
      writeFileSync(file, '');
      const leaving = hook(['sh', '-c', 'sleep 60 & echo $! >> said']);
      await withHooks(pipeline({ 'before-backup': [leaving] }), call(), async () => '');
      expect(await isGone()).toBe(true);
    },
  );
});
