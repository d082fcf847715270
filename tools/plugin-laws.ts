import { describeOptions, type OptionRow, type PluginDefinition } from '@pgsilo/plugin';
import { fixedKeys } from '@pgsilo/pipeline-file';
import { existsSync } from 'node:fs';
import { glob, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pluginReadme } from './generate-docs.ts';
import { manifestOf, type Kind } from './new-plugin.ts';
import { importedPackages, importedTypes } from './plugin-imports.ts';
import { readText } from './plugins.ts';

/** What every plugin of the repository has in common, so that who knows one finds the way in all. */
export interface Law {
  readonly name: string;
  readonly reason: string;
  breaches(plugin: PluginAtLaw): Promise<readonly Breach[]> | readonly Breach[];
}

export interface PluginAtLaw {
  readonly root: string;
  /** `plugins/sink-local`. */
  readonly folder: string;
  readonly kind: Kind;
  readonly name: string;
  readonly definition: PluginDefinition;
}

export interface Breach {
  /** What a waiver names: an option, a file, a package. */
  readonly about: string;
  readonly message: string;
}

/** Reasons by law and by what the breach is about; in a plugin's `test/waivers.json`. */
export type Waivers = Readonly<Record<string, Readonly<Record<string, string>>>>;

const secretName = /password|passphrase|secret|token|credential|connection|privateKey/i;
const suites = { sink: 'describeSink', transform: 'describeTransform', source: 'describeSource' } as const;

function ofRows(
  { definition }: PluginAtLaw,
  problem: (row: OptionRow) => string | false | undefined,
): Breach[] {
  return describeOptions(definition.options).flatMap((row) => {
    const message = problem(row);
    return message ? [{ about: row.name, message: `option ${row.name} ${message}` }] : [];
  });
}

export const laws: readonly Law[] = [
  {
    name: 'files have the same roles',
    reason: 'Who has read one plugin knows where to look in all others.',
    breaches({ root, folder, kind }) {
      const files = ['package.json', 'tsconfig.json', 'README.md', 'src/index.ts', 'src/options.ts'];
      files.push(`src/${kind}.ts`, 'test/conformance.test.ts');
      // Other kinds get their errors translated by what they share.
      if (kind === 'sink') files.push('src/errors.ts');
      return files
        .filter((file) => !existsSync(join(root, folder, file)))
        .map((file) => ({ about: file, message: `${file} is not there` }));
    },
  },
  {
    name: 'package.json is like all others',
    reason: 'What is published must run wherever it is installed.',
    async breaches({ root, folder, kind, name }) {
      const seen = JSON.parse(await readFile(join(root, folder, 'package.json'), 'utf8')) as Fields;
      const wanted = (await manifestOf(root, kind, name)) as Fields;
      // These are a plugin's own; tools/check-boundaries.ts watches the dependencies.
      const own = new Set(['description', 'dependencies', 'devDependencies']);
      return [...new Set([...Object.keys(seen), ...Object.keys(wanted)])]
        .filter((field) => !own.has(field) && JSON.stringify(seen[field]) !== JSON.stringify(wanted[field]))
        .map((field) => ({
          about: field,
          message: `${field} is ${JSON.stringify(seen[field])}, not ${JSON.stringify(wanted[field])}`,
        }));
    },
  },
  {
    name: 'options are described',
    reason: 'Editors, the README and `pgsilo plugins` show nothing else.',
    breaches: (plugin) =>
      ofRows(plugin, ({ description, example }) =>
        !/^[A-Z`].*[.`]$/s.test(description)
          ? `has no description that is a sentence: ${JSON.stringify(description)}`
          : example === undefined && 'has no example',
      ),
  },
  {
    name: 'examples are valid',
    reason: 'An example that is refused teaches the wrong thing.',
    breaches({ definition }) {
      const rows = describeOptions(definition.options).filter(({ name }) => !name.includes('.'));
      return rows.flatMap(({ name, example }) => {
        const result = definition.options.shape[name]?.safeParse(example);
        return result?.success === false
          ? [{ about: name, message: `option ${name} refuses its own example: ${result.error.message}` }]
          : [];
      });
    },
  },
  {
    name: 'options have a default or are required',
    reason: 'What happens without an option must be written down, not guessed.',
    breaches: (plugin) =>
      ofRows(plugin, (row) => !row.required && row.default === undefined && 'is optional without a default'),
  },
  {
    name: 'option names are free',
    reason: 'The pipeline file has keys of its own beside the options.',
    breaches: (plugin) =>
      ofRows(plugin, ({ name }) => {
        if ((fixedKeys[plugin.kind] as readonly string[]).includes(name))
          return 'is a key of the pipeline file';
        return !/^[a-z][A-Za-z0-9.]*$/.test(name) && 'is not in camelCase';
      }),
  },
  {
    name: 'secrets are secret',
    reason: 'A password in an ordinary option would stand in messages and logs.',
    breaches: (plugin) =>
      ofRows(plugin, (row) => secretName.test(row.name) && !row.secret && 'sounds like a secret and is none'),
  },
  {
    name: 'README is fresh',
    reason: 'Its table of options would promise what is not there.',
    async breaches({ root, folder, definition }) {
      const text = await readText(join(root, folder, 'README.md'));
      const fresh = text !== undefined && pluginReadme(text, definition) === text;
      return fresh ? [] : [{ about: 'README.md', message: 'README.md is stale: run `npm run generate`' }];
    },
  },
  {
    name: 'conformance suite is called',
    reason: 'A plugin keeps the promises of its kind, or it is none.',
    async breaches({ root, folder, kind }) {
      const suite = suites[kind];
      for await (const file of glob('test/**/*.test.ts', { cwd: join(root, folder) })) {
        const text = await readFile(join(root, folder, file), 'utf8');
        if (text.includes('@pgsilo/testkit/vitest') && new RegExp(`^\\s*${suite}\\(`, 'm').test(text))
          return [];
      }
      return [{ about: suite, message: `no test calls ${suite}()` }];
    },
  },
  {
    name: 'public types are free of SDK types',
    reason: "Another version of a store's SDK must not be another version of the plugin.",
    breaches: (plugin) => foreign(plugin, importedTypes, 'the public types name'),
  },
  {
    name: 'importing is cheap',
    reason: 'Every pipeline file that names the plugin loads this much before anything else happens.',
    breaches: (plugin) => foreign(plugin, importedPackages, 'src/index.ts loads'),
  },
  {
    name: 'changelog tells of it',
    reason: 'Users learn there what they can use.',
    async breaches({ root, name }) {
      const told = (await readText(join(root, 'CHANGELOG.md')))?.includes(`\`${name}\``);
      return told ? [] : [{ about: 'CHANGELOG.md', message: `CHANGELOG.md does not mention \`${name}\`` }];
    },
  },
];

type Fields = Readonly<Record<string, unknown>>;

async function foreign(
  { root, folder }: PluginAtLaw,
  read: (root: string, folder: string) => Promise<readonly string[]>,
  verb: string,
): Promise<Breach[]> {
  const packages = await read(root, folder);
  return packages
    .filter((name) => !name.startsWith('node:') && name !== 'zod' && name !== '@pgsilo/plugin')
    .map((name) => ({ about: name, message: `${verb} ${name}` }));
}

/** Breaches that no waiver excuses, and waivers that excuse nothing. */
export async function judge(plugin: PluginAtLaw, law: Law): Promise<string[]> {
  const text = await readText(join(plugin.root, plugin.folder, 'test/waivers.json'));
  const waived = (text === undefined ? {} : (JSON.parse(text) as Waivers))[law.name] ?? {};
  const breaches = await law.breaches(plugin);
  const idle = Object.keys(waived).filter((about) => !breaches.some((breach) => breach.about === about));
  return [
    ...breaches.filter(({ about }) => !(waived[about] ?? '').trim()).map(({ message }) => message),
    ...idle.map((about) => `the waiver of ${about} excuses nothing`),
  ];
}
