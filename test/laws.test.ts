import { cp, glob, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PluginDefinition } from '@pgsilo/plugin';
import { builtins } from '../packages/cli/src/builtins.ts';
import { judge, laws, type PluginAtLaw } from '../tools/plugin-laws.ts';
import type { Kind } from '../tools/new-plugin.ts';
import { readPlugins } from '../tools/plugins.ts';

const root = join(import.meta.dirname, '..');
const { plugins, problems } = await readPlugins(root);

describe('every plugin', () => {
  it('has one name: folder, package, definition and what `use:` finds agree', () => {
    expect(problems).toEqual([]);
    expect(plugins.length).toBeGreaterThanOrEqual(4);
    const byUse = builtins.map(({ kind, name, package: packageName }) => [kind, name, packageName]);
    expect(byUse).toEqual(plugins.map(({ kind, name, packageName }) => [kind, name, packageName]));
  });

  describe.each(plugins)('$folder', ({ folder, kind, name, definition }) => {
    it.each(laws)('$name', async (law) => {
      const plugin: PluginAtLaw = { root, folder, kind: kind as Kind, name, definition: definition! };
      expect((await judge(plugin, law)).join('\n')).toBe('');
    });
  });
});

/** Its errors come from its own code alone; a plugin's own copy of the package makes none of them. */
const ownErrorsOnly = new Set(['packages/postgres/src/child.ts']);

it('errors and secrets are told by their mark, not by their class, which another copy of @pgsilo/plugin has too', async () => {
  const found: string[] = [];
  let files = 0;
  for await (const file of glob('{packages,plugins,tools/templates}/*/src/**/*.ts', { cwd: root })) {
    files += 1;
    if (/\binstanceof\s+(PgsiloError|Secret)\b/.test(await readFile(join(root, file), 'utf8')))
      found.push(file);
  }
  expect(files).toBeGreaterThan(200);
  expect(found.filter((file) => !ownErrorsOnly.has(file))).toEqual([]);
});

describe('each law is broken by what it is about, and no other law', () => {
  let parent: string;
  beforeAll(async () => {
    parent = await mkdtemp(join(tmpdir(), 'pgsilo-laws-'));
  });
  afterAll(() => rm(parent, { recursive: true, force: true }));

  const folder = 'plugins/sink-local';
  const option = "z.boolean().default(true).meta({ description: 'Whether.', example: true })";
  const options = (line: string): [string, string, string] => [
    'src/options.ts',
    '  z.strictObject({',
    `  z.strictObject({ ${line},`,
  ];

  /** File, what is in it, and what shall be. */
  const cases: readonly (readonly [law: string, file: string, from: string, to: string])[] = [
    ['files have the same roles', 'src/errors.ts', '', ''],
    ['package.json is like all others', 'package.json', '"dist"', '"dist", "src"'],
    ['package.json is like all others', 'package.json', '"node": ">=24"', '"node": ">=18"'],
    ['options are described', ...options(`more: ${option.replace('Whether.', '')}`)],
    ['options are described', ...options(`more: ${option.replace(', example: true', '')}`)],
    ['examples are valid', ...options(`more: ${option.replace('example: true', "example: 'yes'")}`)],
    [
      'options have a default or are required',
      ...options(`more: ${option.replace('default(true)', 'optional()')}`),
    ],
    ['option names are free', ...options(`required: ${option}`)],
    ['option names are free', ...options(`'snake_case': ${option}`)],
    ['secrets are secret', ...options(`password: ${option}`)],
    ['README is fresh', 'README.md', 'Wait until each object', 'Wait until some object'],
    ['conformance suite is called', 'test/conformance.test.ts', '  describeSink(', '  describe('],
    [
      'public types are free of SDK types',
      'src/options.ts',
      'export type Options =',
      "export type Client = import('pg').Client;\nexport type Options =",
    ],
    [
      'importing is cheap',
      'src/options.ts',
      "import { z } from 'zod';",
      "import { z } from 'zod';\nimport { Client } from 'pg';\nexport const client: unknown = Client;",
    ],
    ['changelog tells of it', '../../CHANGELOG.md', '`local`', '`lokal`'],
  ];

  it('has a case for every law', () => {
    expect(new Set(cases.map(([law]) => law))).toEqual(new Set(laws.map((law) => law.name)));
  });

  it.each(cases.map((row, index) => [...row, index] as const))(
    '%s: %s, %s',
    async (law, file, from, to, index) => {
      const copy = join(parent, String(index));
      await mkdir(copy);
      for (const path of [folder, 'package.json', 'tsconfig.base.json', 'CHANGELOG.md'])
        await cp(join(root, path), join(copy, path), {
          recursive: true,
          filter: (path) => !/\/(?:node_modules|dist)$/.test(path),
        });
      await symlink(join(root, 'node_modules'), join(copy, 'node_modules'));
      const path = join(copy, folder, file);
      const text = await readFile(path, 'utf8');
      expect(text).toContain(from);
      if (from === '') await rm(path);
      else await writeFile(path, text.replace(from, to));
      const module = (await import(pathToFileURL(join(copy, folder, 'src/index.ts')).href)) as {
        default: PluginDefinition;
      };
      const plugin: PluginAtLaw = {
        root: copy,
        folder,
        kind: 'sink',
        name: 'local',
        definition: module.default,
      };
      const broken: string[] = [];
      for (const one of laws) if ((await judge(plugin, one)).length > 0) broken.push(one.name);
      // A changed option makes the README stale, which is as it should be.
      const others = broken.filter((one) => one !== 'README is fresh' || law === one);
      expect(others).toEqual([law]);
    },
  );

  it('is waived for a reason, and for nothing that is kept', async () => {
    const waived = join(parent, 'waived');
    await cp(join(root, folder, 'README.md'), join(waived, folder, 'README.md'));
    const definition = plugins.find((plugin) => plugin.folder === folder)!.definition!;
    const plugin: PluginAtLaw = { root: waived, folder, kind: 'sink', name: 'local', definition };
    const law = laws.find(({ name }) => name === 'conformance suite is called')!;
    const judged = async (waivers: object): Promise<string[]> => {
      await mkdir(join(waived, folder, 'test'), { recursive: true });
      await writeFile(join(waived, folder, 'test/waivers.json'), JSON.stringify(waivers));
      return judge(plugin, law);
    };
    expect(await judged({})).toEqual(['no test calls describeSink()']);
    expect(await judged({ [law.name]: { describeSink: ' ' } })).toEqual(['no test calls describeSink()']);
    expect(await judged({ [law.name]: { describeSink: 'it is tried by hand' } })).toEqual([]);
    expect(await judged({ [law.name]: { describeSink: 'so', other: 'so' } })).toEqual([
      'the waiver of other excuses nothing',
    ]);
  });
});
