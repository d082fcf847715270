import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeGpgHome } from './gpg-home.ts';
import type { GpgHome } from './gpg-home.ts';

const megabyte = 1_000_000;
/** PGSILO_LARGE=1: what the promise is about; otherwise what would not fit when it were held. */
const bytes = (process.env['PGSILO_LARGE'] ? 512 : 200) * megabyte;

let home: GpgHome;
beforeAll(async () => {
  home = await makeGpgHome();
  await home.makeKey('ops');
  await home.exportPublic('ops');
  await home.exportPrivate('ops');
});
afterAll(() => home.dispose());

test.runIf(process.platform === 'linux')(
  'a large body is encrypted, and decrypted, in less than 200 MB',
  { timeout: 600_000 },
  async () => {
    const script = join(import.meta.dirname, 'large-body.ts');
    // As the command does: the first call keeps what it compiled, which needs 30 MB, for the others.
    const env = { ...process.env, NODE_COMPILE_CACHE: join(home.path, 'compiled') };
    const run = async (direction: string, size: number): Promise<number> => {
      const parameters = [script, direction, home.path, String(size)];
      const { stdout } = await promisify(execFile)(process.execPath, parameters, { env });
      const seen = JSON.parse(stdout) as { readonly bytes: number; readonly peak: number };
      expect(seen.bytes).toBe(size);
      return seen.peak;
    };
    await run('encrypt', 1);
    for (const direction of ['encrypt', 'decrypt'])
      expect(await run(direction, bytes), `${direction}`).toBeLessThan(200 * megabyte);
  },
);
