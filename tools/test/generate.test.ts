import { definePlugin, secret } from '@pgsilo/plugin';
import { execa } from 'execa';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { builtinsModule, cliManifest } from '../generate-builtins.ts';
import { pluginReadme } from '../generate-docs.ts';

const workspace = join(import.meta.dirname, '../..');
let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'pgsilo-generate-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const definition = definePlugin({
  kind: 'sink',
  name: 'one',
  summary: 'keeps backups in one place.',
  options: z.strictObject({
    path: z.string().meta({ description: 'The folder | place', example: '/var/backups' }),
    mode: z.enum(['a', 'b']).default('a').meta({ description: 'How', example: 'b' }),
    key: secret({ description: 'The key', example: '${env:KEY}' }).optional(),
  }),
  traits: { ranges: true } as never,
  create: () => {
    throw new Error('not needed here');
  },
});

test("a README's table comes from the options, and what people wrote around it stays", () => {
  const first = pluginReadme('# One\n\nWritten by hand.\n', definition);
  expect(first).toContain('| `path` | string |  | yes |  | The folder \\| place | `/var/backups` |');
  expect(first).toContain('| `mode` | "a" \\| "b" | `a` |  |  | How | `b` |');
  expect(first).toMatch(/\| `key` \| string \|  \|  \| yes \| The key \| `\$\{env:KEY\}` \|/);
  expect(first).toContain('| `ranges` | `true` |');
  expect(first.startsWith('# One\n')).toBe(true);
  expect(first).toContain('\nWritten by hand.\n');
  expect(pluginReadme(first, definition)).toBe(first);
  expect(pluginReadme(first.replace('`/var/backups`', '`/old`'), definition)).toBe(first);
});

test('what the command is made of follows the folders of plugins/', () => {
  const manifest = JSON.stringify({
    name: 'pgsilo',
    devDependencies: { '@pgsilo/sink-gone': 'workspace:*', pino: '1' },
  });
  const plugins = [
    { folder: 'plugins/sink-one', packageName: '@pgsilo/sink-one', kind: 'sink', name: 'one' },
  ];
  const written = cliManifest(manifest, plugins);
  expect(JSON.parse(written).devDependencies).toEqual({ '@pgsilo/sink-one': 'workspace:*', pino: '1' });
  expect(cliManifest(written, plugins)).toBe(written);
  expect(builtinsModule(plugins)).toContain(`load: () => import('@pgsilo/sink-one'),`);
});

test('--check names stale files and writes nothing; without it they are written and then fresh', async () => {
  const files = {
    'packages/cli/package.json': '{"name":"pgsilo"}',
    'packages/cli/src/main.ts': '',
    'plugins/sink-one/package.json': '{"name":"@pgsilo/sink-one","type":"module"}',
    'plugins/sink-one/src/index.ts': `import { definePlugin } from '@pgsilo/plugin';
      import { z } from 'zod';
      export default definePlugin({ kind: 'sink', name: 'one', summary: 'One', options: z.strictObject({}), traits: {} });`,
    'plugins/sink-bad/package.json': '{"name":"@pgsilo/sink-bad","type":"module"}',
    'plugins/sink-bad/src/index.ts': 'export default 1;',
  };
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
  await symlink(join(workspace, 'node_modules'), join(root, 'node_modules'));
  const generate = async (
    ...more: string[]
  ): Promise<{ exitCode?: number; stdout: string; stderr: string }> =>
    execa('node', [join(workspace, 'tools/generate.ts'), root, ...more], { reject: false });

  const stale = await generate('--check');
  expect(stale).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining('plugins/sink-bad/src/index.ts: its'),
  });
  expect(stale.stdout).toContain('stale: plugins/sink-one/README.md');
  await expect(readFile(join(root, 'docs/plugins.md'))).rejects.toThrow('ENOENT');

  await rm(join(root, 'plugins/sink-bad'), { recursive: true });
  expect(await generate()).toMatchObject({ exitCode: 0 });
  expect(await readFile(join(root, 'docs/plugins.md'), 'utf8')).toContain(
    '[@pgsilo/sink-one](../plugins/sink-one/README.md)',
  );
  expect(await generate('--check')).toMatchObject({ exitCode: 0, stderr: '' });
});
