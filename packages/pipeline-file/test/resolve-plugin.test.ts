import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { PgsiloError } from '@pgsilo/plugin';
import { describe, expect, test } from 'vitest';
import { resolvePlugin } from '../src/index.ts';
import type { PluginLookup } from '../src/index.ts';
import { fixture, fixturePath, install, known, makeProject } from './project.ts';

async function lookups(): Promise<{ lookup: PluginLookup; folder: string; pgsilo: string }> {
  const { folder, options } = await makeProject();
  const { builtinsFrom } = options;
  return {
    lookup: { from: folder, builtinsFrom, known },
    folder,
    pgsilo: path.dirname(new URL(builtinsFrom).pathname),
  };
}

async function failure(promise: Promise<unknown>): Promise<PgsiloError> {
  return await promise.then(
    () => expect.fail('resolved'),
    (error: unknown) => {
      expect(error).toBeInstanceOf(PgsiloError);
      return error as PgsiloError;
    },
  );
}

/** The text of a module that exports a plugin of these options. */
function pluginWith(kind: string, options: readonly string[]): string {
  const url = (name: string): string => JSON.stringify(import.meta.resolve(name));
  return `import { definePlugin } from ${url('@pgsilo/plugin')};
    import { z } from ${url('zod')};
    const options = z.strictObject({ ${options.map((name) => `${name}: z.string()`).join(', ')} });
    export default definePlugin({ kind: '${kind}', name: 'made', summary: 'Made.', options, traits: {}, create() {} });`;
}

describe('a plugin is found', () => {
  test('by its short name, where pgsilo is installed', async () => {
    const { lookup } = await lookups();
    await expect(resolvePlugin('sink', 'bucket', lookup)).resolves.toMatchObject({
      kind: 'sink',
      name: 'bucket',
    });
  });

  test('beside the pipeline file first', async () => {
    const { lookup, folder } = await lookups();
    await install(folder, '@pgsilo/sink-bucket', fixture('sink-folder'));
    await expect(resolvePlugin('sink', 'bucket', lookup)).resolves.toMatchObject({ name: 'folder' });
  });

  test('inside of a command that is installed without packages, by its short and its full name', async () => {
    const { folder } = await makeProject();
    const load = () => import(pathToFileURL(fixturePath('sink-folder')).href);
    const inside = { kind: 'sink', name: 'inside', package: '@pgsilo/sink-inside', load } as const;
    const lookup: PluginLookup = {
      from: folder,
      builtinsFrom: pathToFileURL(path.join(folder, 'nowhere', 'main.js')).href,
      known: [inside],
    };
    for (const use of ['inside', '@pgsilo/sink-inside'])
      await expect(resolvePlugin('sink', use, lookup)).resolves.toMatchObject({ name: 'folder' });
    await install(folder, '@pgsilo/sink-inside', fixture('sink-bucket'));
    await expect(resolvePlugin('sink', 'inside', lookup)).resolves.toMatchObject({ name: 'bucket' });
  });

  test('as a package of any name, with any kind of entry', async () => {
    const { lookup, folder } = await lookups();
    const module = fixture('sink-folder');
    const manifests: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
      '@acme/with-exports': { exports: { '.': { types: './x.d.ts', import: './index.js' } } },
      'pgsilo-sink-acme': { exports: { node: [{ default: './index.js' }] } },
      'with-main': { main: './index.js' },
      'with-nothing': {},
    };
    for (const [name, manifest] of Object.entries(manifests)) {
      await install(folder, name, module, manifest);
      await expect(resolvePlugin('sink', name, lookup)).resolves.toMatchObject({ name: 'folder' });
    }
    await install(folder, '@acme/parts', module, { exports: { './sink': './index.js' } });
    await expect(resolvePlugin('sink', '@acme/parts/sink', lookup)).resolves.toMatchObject({
      name: 'folder',
    });
  });

  test('as a module translated to CommonJS', async () => {
    const { lookup, folder } = await lookups();
    const mark = 'exports.default = { [Symbol.for("pgsilo.plugin.1")]: true, kind: "sink", name: "old",';
    const text = `${mark} options: { safeParseAsync() {} }, create() {} };`;
    await install(folder, 'old-style', text, { type: 'commonjs', main: './index.js' });
    await expect(resolvePlugin('sink', 'old-style', lookup)).resolves.toMatchObject({ name: 'old' });
  });
});

describe('a plugin is refused', () => {
  test('that is not there, with the nearest name', async () => {
    const { lookup } = await lookups();
    const error = await failure(resolvePlugin('sink', 'buckt', lookup));
    expect([error.code, error.message, error.hint]).toEqual([
      'plugin.unknown',
      'there is no sink "buckt"',
      'did you mean "bucket"?',
    ]);
  });

  test('of another kind', async () => {
    const { lookup } = await lookups();
    const error = await failure(resolvePlugin('sink', 'squeeze', lookup));
    expect([error.code, error.message, error.hint]).toEqual([
      'plugin.unknown',
      '"squeeze" is a transform, not a sink',
      'it belongs under transforms:',
    ]);
  });

  test('that is a package, and no plugin', async () => {
    const { lookup, folder } = await lookups();
    await install(folder, 'left-pad', 'export default () => 1;');
    const error = await failure(resolvePlugin('sink', 'left-pad', lookup));
    expect([error.code, error.message]).toEqual([
      'plugin.invalid',
      '"left-pad" was found, but its default export is no pgsilo plugin',
    ]);
  });

  test.each([
    ['sink', ['use']],
    ['sink', ['name']],
    ['sink', ['required', 'path']],
    ['sink', ['retention']],
    ['sink', ['name', 'required']],
    ['source', ['use']],
    ['source', ['hooks']],
    ['transform', ['use']],
    ['transform', ['retention']],
  ] as const)('that is a %s whose options %j are read by the pipeline file', async (kind, names) => {
    const { lookup, folder } = await lookups();
    await install(folder, 'taken', pluginWith(kind, names));
    const error = await failure(resolvePlugin(kind, 'taken', lookup));
    expect(error.code).toBe('plugin.invalid');
    const named = names.filter((name) => error.message.includes(JSON.stringify(name)));
    expect(named).toEqual(names.filter((name) => name !== 'path'));
    expect(error.message).toMatch(/^the \w+ "taken" has .* that the pipeline file keeps for itself$/);
    const [first] = names;
    expect(error.hint).toContain(
      `in the plugin: "${kind}${first[0]!.toUpperCase()}${first.slice(1)}" instead of "${first}"`,
    );
  });

  test('only for names that its own section has: a source may have a name', async () => {
    const { lookup, folder } = await lookups();
    await install(folder, 'named', pluginWith('source', ['name', 'required', 'path']));
    await expect(resolvePlugin('source', 'named', lookup)).resolves.toMatchObject({ name: 'made' });
  });

  test('whose package is not whole', async () => {
    const { lookup, folder } = await lookups();
    await install(folder, 'half', '', { exports: { browser: './index.js' } });
    await install(folder, 'escaping', '', { exports: '../../../x.js' });
    await install(folder, 'gone', '', { exports: './dist/index.js' });
    for (const name of ['half', 'escaping', 'gone']) {
      const error = await failure(resolvePlugin('sink', name, lookup));
      expect(error.code).toBe('plugin.invalid');
      expect(error.cause).toBeInstanceOf(Error);
    }
  });

  test('that needs @pgsilo/plugin and cannot find it', async () => {
    const { lookup, folder } = await lookups();
    await install(folder, 'alone', "import '@pgsilo/plugin';");
    const error = await failure(resolvePlugin('sink', 'alone', lookup));
    expect(error.code).toBe('plugin.invalid');
    expect(error.hint).toBe('install @pgsilo/plugin where the plugin lies');
  });

  test('whose name is no name', async () => {
    const { lookup } = await lookups();
    for (const use of [
      'fs',
      'node:fs',
      '..',
      '',
      'a b',
      '%00',
      'https://x/y',
      'file:///x',
      '@a',
      '#internal',
    ]) {
      const error = await failure(resolvePlugin('sink', use, lookup));
      expect(error.code).toBe('plugin.unknown');
    }
    const folder = pathToFileURL(lookup.from).pathname;
    expect((await failure(resolvePlugin('sink', folder, lookup))).message).toBe(
      `there is no file "${folder}"`,
    );
  });
});
