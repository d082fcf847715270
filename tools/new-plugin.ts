import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

export const kinds = ['sink', 'transform', 'source'] as const;
export type Kind = (typeof kinds)[number];

/** What stands in the templates where the plugin's name belongs. */
const placeholder = 'newcomer';
const tsconfig = `{
  "extends": "../../tsconfig.base.json",
  "include": ["src", "test", "*.ts"]
}
`;
const nameForm = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;

/** Why there can be no plugin of this name; undefined when there can. */
export function problemWith(name: string): string | undefined {
  if (!nameForm.test(name))
    return `"${name}" is not kebab-case: small letters and digits in words joined by single dashes`;
  return name.length > 40 ? `"${name}" is longer than 40 characters` : undefined;
}

/** Writes the package of a new plugin and returns its folder, `plugins/sink-foo`. It appears there whole or not at all. */
export async function writePlugin(root: string, kind: Kind, name: string): Promise<string> {
  const folder = `plugins/${kind}-${name}`;
  const aside = join(root, 'plugins', `.new-${process.pid}`);
  try {
    for (const [path, text] of await filesOf(root, kind, name)) {
      await mkdir(dirname(join(aside, path)), { recursive: true });
      await writeFile(join(aside, path), text);
    }
    await rename(aside, join(root, folder));
  } catch (error) {
    await rm(aside, { recursive: true, force: true });
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOTEMPTY' || code === 'EEXIST')
      throw new Error(`${folder} is there already`, { cause: error });
    throw error;
  }
  return folder;
}

async function filesOf(root: string, kind: Kind, name: string): Promise<[path: string, text: string][]> {
  const templates = join(import.meta.dirname, 'templates', kind);
  const entries = await readdir(templates, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const code = await Promise.all(
    paths.map(async (path): Promise<[string, string]> => [
      // Under this name the test runner does not take the template itself for a test.
      path.slice(templates.length + 1).replace(/-test\.ts$/, '.test.ts'),
      named(await readFile(path, 'utf8'), name),
    ]),
  );
  return [['package.json', json(await manifestOf(root, kind, name))], ['tsconfig.json', tsconfig], ...code];
}

function named(text: string, name: string): string {
  const words = name.split('-');
  const pascal = words.map((word) => word[0]!.toUpperCase() + word.slice(1)).join('');
  return (
    text
      // The suffix of a transform's artifacts: letters and digits alone.
      .replaceAll(`'.${placeholder}'`, `'.${words.join('')}'`)
      .replaceAll('NEWCOMER', words.join('_').toUpperCase())
      .replaceAll('Newcomer', pascal)
      .replaceAll(placeholder, name)
  );
}

/** Of the same shape as that of every plugin; `npm run deps` is what adds an SDK's lines to the lockfile. */
export async function manifestOf(root: string, kind: Kind, name: string): Promise<object> {
  const workspace = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    version: string;
    devDependencies: Record<string, string>;
  };
  const published = { types: './dist/index.d.ts', default: './dist/index.js' };
  return {
    name: `@pgsilo/${kind}-${name}`,
    version: workspace.version,
    description: `pgsilo ${kind}: ${name}`,
    license: 'Apache-2.0',
    files: ['dist'],
    type: 'module',
    exports: { '.': './src/index.ts' },
    publishConfig: { exports: { '.': published }, access: 'public' },
    dependencies: {
      '@pgsilo/plugin': 'workspace:*',
      ...(kind === 'source' ? { '@pgsilo/postgres': 'workspace:*' } : {}),
      zod: workspace.devDependencies['zod'],
    },
    devDependencies: { '@pgsilo/testkit': 'workspace:*' },
    engines: { node: '>=24' },
    nx: { targets: { test: {}, typecheck: {}, lint: {} } },
  };
}

function json(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
