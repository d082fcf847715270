import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const main = join(import.meta.dirname, '..', 'src', 'main.ts');

describe('the compiled form of the command', () => {
  let home: string;
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'pgsilo-test-'));
  });
  afterEach(() => rm(home, { recursive: true, force: true }));

  const run = (more: Record<string, string>): Promise<unknown> =>
    promisify(execFile)(process.execPath, [main, 'plugins'], { env: { PATH: process.env['PATH'], ...more } });

  it('is kept in a folder of the user alone', async () => {
    await run({ HOME: home });
    const folder = join(home, '.cache', 'pgsilo');
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    expect(await readdir(folder)).not.toEqual([]);
  });

  it('is kept nowhere where others could put what he would run', async () => {
    const shared = join(home, 'shared');
    await mkdir(shared);
    await chmod(shared, 0o777);
    await run({ HOME: home, XDG_CACHE_HOME: shared });
    expect(await readdir(shared, { recursive: true })).toEqual(['pgsilo']);
    await run({ HOME: home, XDG_CACHE_HOME: '/dev/null/no-folder' });
  });
});
