import { execFileSync, spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { documentOf, pgsilo, project } from './pgsilo.ts';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const ops = join(import.meta.dirname, 'fixtures', 'ops.asc');

/** util-linux's `script` gives a program a terminal. */
function hasTerminals(): boolean {
  try {
    return execFileSync('script', ['--version'], { encoding: 'utf8' }).includes('util-linux');
  } catch {
    return false;
  }
}

/** Runs a command on a terminal and types an answer once it asks. */
async function typing(
  answer: string,
  folder: string,
  parameters: readonly string[],
): Promise<{ readonly exit: number | null; readonly shown: string }> {
  const words = [process.execPath, main, ...parameters].map((word) => `'${word}'`).join(' ');
  const child = spawn('script', ['-qefc', words, '/dev/null'], { cwd: folder });
  let shown = '';
  let asked = false;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    shown += text;
    // The terminal breaks the line anywhere.
    if (asked || !shown.includes('name to go on:')) return;
    asked = true;
    child.stdin.write(`${answer}\r`);
  });
  const exit = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  return { exit, shown };
}

describe.skipIf(!hasTerminals())('keys destroy asks for the name to be typed', { timeout: 120_000 }, () => {
  it('and does nothing when another one is', async () => {
    const gpg = { use: 'gpg', perUnit: true, keyring: { path: 'keys' }, wrapFor: [ops] };
    const { file, folder } = await project({ more: { transforms: [gpg] } });
    await pgsilo(['backup', file], { cwd: folder });
    const destroy = ['keys', 'destroy', file, 'acme'];
    const other = await typing('globex', folder, destroy);
    expect(other.shown).toContain('what was typed is not acme; nothing was touched');
    expect(other.exit).toBe(2);
    const states = async (): Promise<unknown[]> => {
      const { keys } = documentOf(await pgsilo(['keys', 'list', file, '--json'], { cwd: folder }));
      return keys.map(({ unit, state }: any) => [unit, state]);
    };
    expect(await states()).toEqual([
      ['acme', 'current'],
      ['globex', 'current'],
    ]);
    const same = await typing('acme', folder, destroy);
    // The question is answered. What comes next needs the key that signs the receipt, which is not here.
    expect(same.shown).toContain('signWith is missing');
    expect(same.shown).not.toContain('what was typed');
  });
});
