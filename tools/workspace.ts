import { parseSync } from 'oxc-parser';
import { glob, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

export interface Import {
  /** Path from the repository's root. */
  readonly file: string;
  readonly line: number;
  readonly specifier: string;
  readonly dynamic: boolean;
  /** In a test, which may use what only developers have. */
  readonly inTest: boolean;
}

/** One folder of `packages/` or `plugins/`. */
export interface Project {
  /** Path from the repository's root, as `plugins/sink-local`. */
  readonly folder: string;
  readonly manifest: Manifest;
  readonly imports: readonly Import[];
}

export interface Manifest {
  readonly name: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

const list = z.record(z.string(), z.string()).default({});
const manifestForm: z.ZodType<Manifest> = z.object({
  name: z.string(),
  dependencies: list,
  optionalDependencies: list,
  peerDependencies: list,
  devDependencies: list,
});

/** Every project of the workspace; `imports` only where asked for, as that reads all sources. */
export async function readProjects(root: string, { imports }: { imports: boolean }): Promise<Project[]> {
  const folders = (
    await Promise.all(['packages', 'plugins'].map((parent) => folderNames(root, parent)))
  ).flat();
  return Promise.all(
    folders.map(async (folder) => ({
      folder,
      manifest: await readManifest(join(root, folder)),
      imports: imports ? await readImports(root, folder) : [],
    })),
  );
}

export async function readManifest(folder: string): Promise<Manifest> {
  return manifestForm.parse(JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')));
}

async function folderNames(root: string, parent: string): Promise<string[]> {
  const entries = await readdir(join(root, parent), { withFileTypes: true });
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  return names.toSorted().map((name) => `${parent}/${name}`);
}

async function readImports(root: string, folder: string): Promise<Import[]> {
  const exclude = ['**/node_modules', '**/dist', '**/fixtures'];
  const files: string[] = [];
  for await (const file of glob('**/*.{ts,mts,js,mjs}', { cwd: join(root, folder), exclude }))
    files.push(file);
  const found = await Promise.all(
    files.toSorted().map(async (file) => {
      const inTest = file.startsWith('test/') || /\.test\.m?[jt]s$/.test(file);
      const text = await readFile(join(root, folder, file), 'utf8');
      return importsOf(text, file).map((one) => ({ ...one, file: `${folder}/${file}`, inTest }));
    }),
  );
  return found.flat();
}

function importsOf(text: string, file: string): Pick<Import, 'specifier' | 'line' | 'dynamic'>[] {
  const { module } = parseSync(file, text);
  const lineOf = (offset: number): number => text.slice(0, offset).split('\n').length;
  const asked = [
    ...module.staticImports.map((one) => one.moduleRequest),
    ...module.staticExports.flatMap((one) => one.entries.map((entry) => entry.moduleRequest)),
  ].filter((request) => request !== null);
  return [
    ...asked.map(({ value, start }) => ({ specifier: value, line: lineOf(start), dynamic: false })),
    ...module.dynamicImports
      .map(({ moduleRequest: { start, end } }) => ({ start, code: text.slice(start, end) }))
      // Only a name that stands there as text: what is put together at run time is the plugin loader's matter.
      .filter(({ code }) => /^(['"`])[^$]*\1$/.test(code))
      .map(({ start, code }) => ({ specifier: code.slice(1, -1), line: lineOf(start), dynamic: true })),
  ];
}
