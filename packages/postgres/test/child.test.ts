import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PgsiloError, Secret, type Body } from '@pgsilo/plugin';
import { produce, runTool, type ChildOptions, type Program } from '../src/index.ts';

const sh: Program = { command: '/bin/sh', prefix: [], quoting: 'none' };
const script = (text: string, ...args: string[]): string[] => ['-c', text, 'sh', ...args];
const options = (more: Partial<ChildOptions> = {}): ChildOptions => ({ doing: 'the child', ...more });
const produced = (text: string, more?: Partial<ChildOptions>): ReturnType<typeof produce> =>
  produce(sh, script(text), options(more));

async function read(body: Body): Promise<{ text: string; error: unknown }> {
  let text = '';
  try {
    for await (const chunk of body) text += Buffer.from(chunk).toString('latin1');
    return { text, error: undefined };
  } catch (error) {
    return { text, error };
  }
}

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describe('produce', () => {
  it('ends after exit 0', async () => {
    expect(await read(produced('printf hello; exec 1>&-; sleep 0.1; exit 0'))).toEqual({
      text: 'hello',
      error: undefined,
    });
  });

  it.each([
    [
      'printed all and then exited 1',
      'printf hello; exec 1>&-; sleep 0.1; echo boom >&2; exit 1',
      /exited with status 1: boom/,
    ],
    ['was killed', 'printf hello; kill -KILL $$', /was ended by SIGKILL without a word/],
    ['said nothing', 'exit 3', /exited with status 3 without a word/],
  ])('throws when the child %s', async (_, text, message) => {
    const { error } = await read(produced(text));
    expect(error).toBeInstanceOf(PgsiloError);
    expect(error).toMatchObject({ code: 'source.incomplete', message: expect.stringMatching(message) });
  });

  it.each([
    ['canceling statement due to lock timeout', 'source.lock-timeout'],
    ['pg_dump: error: query failed: ERROR:  permission denied for table t', 'source.denied'],
    ['FATAL:  password authentication failed for user "u"', 'source.denied'],
    ['aborting because of server version mismatch', 'source.tool-version'],
  ])('reads %s as %s', async (words, code) => {
    expect((await read(produced(`echo '${words}' >&2; exit 1`))).error).toMatchObject({ code });
  });

  it('says which program is not there', async () => {
    const { error } = await read(produce({ ...sh, command: '/nowhere/pg_dump' }, [], options()));
    expect(error).toMatchObject({
      code: 'source.tool-missing',
      message: expect.stringContaining('/nowhere/pg_dump'),
    });
  });

  it('keeps secrets out of messages and of the log, and keeps only the end of much stderr', async () => {
    const secret = new Secret('correct-horse');
    const lines: string[] = [];
    const body = produced(
      `i=0; while [ $i -lt 20000 ]; do echo "line $i of noise"; i=$((i+1)); done >&2; echo "pw is $PGPASSWORD" >&2; exit 1`,
      {
        env: { PGPASSWORD: secret.reveal() },
        onStderr: (line) => lines.push(line),
      },
    );
    const { error } = await read(body);
    expect((error as Error).message).toContain('pw is [secret]');
    expect((error as Error).message.length).toBeLessThan(1000);
    expect(lines).toHaveLength(20_001);
    expect(lines.at(-1)).toBe('pw is [secret]');
  });

  it('gives the child little of our environment', async () => {
    process.env['PGDATABASE'] = 'elsewhere';
    process.env['VIGIA_SECRET'] = 'x';
    try {
      const { text } = await read(produced('env', { env: { PGPASSWORD: 'pw' } }));
      expect(text).toMatch(/^PGPASSWORD=pw$/m);
      expect(text).toMatch(/^LC_ALL=C$/m);
      expect(text).not.toMatch(/PGDATABASE|VIGIA/);
      const prefixed = await read(
        produce({ command: 'env', prefix: ['env'], quoting: 'none' }, [], options()),
      );
      expect(prefixed.text).toMatch(/VIGIA/);
      expect(prefixed.text).not.toMatch(/PGDATABASE/);
    } finally {
      delete process.env['PGDATABASE'];
      delete process.env['VIGIA_SECRET'];
    }
  });

  it('kills the child when the reader stops, and waits for it', async () => {
    const body = produced('echo $$; exec yes');
    const first = await body.next();
    const pid = Number(String(Buffer.from(first.value as Uint8Array)).split('\n')[0]);
    expect(alive(pid)).toBe(true);
    await body.return();
    expect(alive(pid)).toBe(false);
    expect(await body.next()).toEqual({ done: true, value: undefined });
  });

  it('kills a child that is silent while the reader waits, and one that ignores SIGTERM', async () => {
    let pid = 0;
    const body = produced('trap "" TERM; echo $$ >&2; while :; do sleep 0.2; done', {
      onStderr: (line) => (pid = Number(line)),
    });
    const pending = body.next();
    pending.catch(() => undefined);
    await expect.poll(() => pid).toBeGreaterThan(0);
    const began = Date.now();
    await body.return();
    expect(alive(pid)).toBe(false);
    expect(Date.now() - began).toBeLessThan(8000);
  });

  it('ends with the signal, with its reason', async () => {
    const controller = new AbortController();
    const body = produced('echo $$; sleep 60', { signal: controller.signal });
    const first = await body.next();
    const pid = Number(String(Buffer.from(first.value as Uint8Array)));
    const pending = read(body);
    controller.abort(new PgsiloError('limit.timeout', 'too long'));
    expect((await pending).error).toMatchObject({ code: 'limit.timeout' });
    expect(alive(pid)).toBe(false);
  });

  it('is slowed down by a slow reader', async () => {
    const body = produced('head -c 100000000 /dev/zero');
    await body.next();
    const before = process.memoryUsage().rss;
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(process.memoryUsage().rss - before).toBeLessThan(30_000_000);
    let bytes = 0;
    for await (const chunk of body) bytes += chunk.length;
    expect(bytes).toBeGreaterThan(99_000_000);
  });
});

describe('runTool', () => {
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (;;) yield Buffer.alloc(65_536, 'x');
  }

  it('feeds standard input and returns what was printed', async () => {
    async function* input(): AsyncGenerator<Uint8Array> {
      for (let index = 0; index < 1000; index += 1) yield Buffer.from(`line ${index}\n`);
    }
    const result = await runTool(sh, script('wc -l; echo done >&2'), options({ input: input() }));
    expect(result.stdout.trim()).toBe('1000');
    expect(result.stderr.trim()).toBe('done');
  });

  it('lets a child stop reading early when it exits with 0, and says its failure when not', async () => {
    expect((await runTool(sh, script('head -c 5'), options({ input: endless() }))).stdout).toBe('xxxxx');
    const failing = runTool(
      sh,
      script('head -c 5 >/dev/null; echo no >&2; exit 1'),
      options({ input: endless() }),
    );
    await expect(failing).rejects.toMatchObject({
      code: 'source.incomplete',
      message: expect.stringContaining('no'),
    });
  });

  it('throws the error of its input, whatever the child makes of half of it', async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('half');
      throw new PgsiloError('sink.corrupt', 'hash differs');
    }
    await expect(runTool(sh, script('cat; exit 0'), options({ input: broken() }))).rejects.toMatchObject({
      code: 'sink.corrupt',
    });
  });

  it('bounds what is printed', async () => {
    await expect(runTool(sh, script('exec yes'), options())).rejects.toMatchObject({ code: 'source.failed' });
  });
});

describe('a prefix that hands its arguments to a shell', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'pgsilo-child-'));
    writeFileSync(join(folder, 'ssh'), '#!/bin/sh\nshift\nexec /bin/sh -c "$*"\n');
    chmodSync(join(folder, 'ssh'), 0o755);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('gets them quoted', async () => {
    const awkward = ['a b', `it's`, '$HOME', '`id`', '; exit 9', '*', '', 'two\nlines', '\\', '"'];
    const far: Program = { command: 'printf', prefix: [join(folder, 'ssh'), 'host'], quoting: 'posix' };
    const { stdout } = await runTool(far, ['%s|', ...awkward], options());
    expect(stdout).toBe(awkward.map((one) => `${one}|`).join(''));
  });
});
