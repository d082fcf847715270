import { cp, mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pgsilo, pgsiloOk, type Ended } from './services/pgsilo.ts';

const root = join(import.meta.dirname, '..');
let folder: string;

/** A folder in which nothing of this checkout is found: plugin and sink run under their own copies of @pgsilo/plugin and zod. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pgsilo-copy-'));
  await cp(join(root, 'packages/plugin/src'), join(folder, 'plugin-copy'), { recursive: true });
  const zod = await realpath(join(root, 'packages/plugin/node_modules/zod'));
  await cp(zod, join(folder, 'node_modules/zod'), { recursive: true });
  await cp(join(import.meta.dirname, 'fixtures/copied-sink.ts'), join(folder, 'sink.ts'));
  const source = await readFile(join(import.meta.dirname, 'services/files-source.ts'), 'utf8');
  await writeFile(
    join(folder, 'source.ts'),
    source.replaceAll("'@pgsilo/plugin'", "'./plugin-copy/index.ts'"),
  );
  await mkdir(join(folder, 'tenants'));
  await writeFile(join(folder, 'tenants/acme'), '{}');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function written(name: string, lines: readonly string[], limits = '{ attempts: 3 }'): Promise<string> {
  const text = [
    'pipeline: copied',
    'source: { use: ./source.ts, folder: tenants }',
    `limits: ${limits}`,
    'sinks:',
    '  - use: ./sink.ts',
    `    path: ${name}`,
    ...lines.map((line) => `    ${line}`),
  ];
  await writeFile(join(folder, `${name}.yaml`), `${text.join('\n')}\n`);
  return `${name}.yaml`;
}

const at = () => ({ cwd: folder, env: { KEY: 'a-key-that-nobody-may-see' } });
// oxlint-disable-next-line typescript/no-explicit-any
const unitOf = (ended: Ended): any => ended.json().runs[0].report.units[0];

describe('a sink and a source under another copy of @pgsilo/plugin', { timeout: 120_000 }, () => {
  it('back up, and their options are known', async () => {
    const file = await written('well', []);
    await pgsiloOk(['backup', file], at());
    expect((await pgsiloOk(['verify', file], at())).stdout).toContain('1 backup whole');
    expect((await pgsiloOk(['plugins', './sink.ts'], at())).stdout).toMatch(/path.*A folder\./);
  });

  it('keep code, hint and exit status of an option that is wrong, and it is shown with its place', async () => {
    const file = await written('wrong', ['fails: at once', 'key: ${env:KEY}']);
    const shown = await pgsilo(['validate', file], at());
    expect(shown.exit).toBe(2);
    expect(shown.stdout).toContain('wrong.yaml:8:5 sinks[0].key: no such key: [secret]');
    expect(shown.stdout).toContain('Ask for another one.');
    const document = (await pgsilo(['validate', file, '--json'], at())).json();
    expect(document.files[0]).toMatchObject({
      error: { code: 'config.invalid', hint: 'Ask for another one.' },
      mistakes: [{ file: 'wrong.yaml', line: 8, path: 'sinks[0].key' }],
    });
    const run = await pgsilo(['backup', file], at());
    expect(run.exit).toBe(2);
    expect(run.stderr).toContain('Ask for another one.');
    expect(run.all).not.toContain('a-key-that-nobody-may-see');
  });

  it('keep a code that must not be repeated', async () => {
    const file = await written('denied', ['fails: denied']);
    const ended = await pgsilo(['backup', file, '--json'], at());
    expect(ended.exit).toBe(3);
    expect(unitOf(ended)).toMatchObject({
      attempts: 1,
      error: { code: 'sink.denied', hint: 'Ask the owner.' },
    });
    const puts = (await readFile(join(folder, 'denied.puts'), 'utf8')).split('\n');
    expect(puts.filter((kind) => kind === 'artifact')).toHaveLength(1);
  });

  it('keep the reason of an abort', async () => {
    const file = await written('stalled', ['fails: stalls'], '{ attempts: 1, jobTimeout: 1s }');
    const ended = await pgsilo(['backup', file, '--json'], at());
    expect(unitOf(ended).error).toMatchObject({ code: 'limit.timeout' });
  });

  it('keep the codes that are answers: what is there already, and what is not', async () => {
    const file = await written('lossy', ['fails: loses answers']);
    const ended = await pgsiloOk(['backup', file, '--json'], at());
    expect(unitOf(ended)).toMatchObject({ status: 'good', attempts: 1 });
    const puts = (await readFile(join(folder, 'lossy.puts'), 'utf8')).split('\n');
    expect(puts.filter((kind) => kind === 'manifest')).toHaveLength(2);
  });
});
