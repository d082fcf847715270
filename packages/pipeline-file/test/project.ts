import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, expect } from 'vitest';
import { formatMistakes, loadPipeline, PipelineFileError } from '../src/index.ts';
import type { LoadOptions, Pipeline } from '../src/index.ts';

const plugins = path.join(import.meta.dirname, 'fixtures', 'plugins');
const installed = ['source-databases', 'transform-squeeze', 'sink-bucket', 'sink-folder'];

export const known: LoadOptions['known'] = [
  { kind: 'source', name: 'databases' },
  { kind: 'transform', name: 'squeeze' },
  { kind: 'sink', name: 'bucket' },
  { kind: 'sink', name: 'folder' },
];

/** A folder with pipeline files, and another one in which "pgsilo" is installed with its plugins. */
export interface Project {
  readonly folder: string;
  readonly options: LoadOptions;
  /** Loads a file after writing it. */
  load(text: string, more?: Partial<LoadOptions>): Promise<Pipeline>;
  /** The mistakes of a file as a person sees them, paths relative to the folder. */
  mistakes(text: string, more?: Partial<LoadOptions>): Promise<string>;
  write(files: Readonly<Record<string, string | Uint8Array>>): Promise<void>;
}

const folders: string[] = [];
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true });
});

export async function makeProject(env: Readonly<Record<string, string>> = {}): Promise<Project> {
  const root = await realpath(await mkdtemp(path.join(tmpdir(), 'pgsilo-pipeline-file-')));
  folders.push(root);
  const folder = path.join(root, 'project');
  await mkdir(folder);
  for (const name of installed) await install(path.join(root, 'pgsilo'), `@pgsilo/${name}`, fixture(name));
  const options = { env, builtinsFrom: pathToFileURL(path.join(root, 'pgsilo', 'main.js')).href, known };

  const project: Project = {
    folder,
    options,
    async write(files) {
      for (const [name, content] of Object.entries(files)) {
        const file = path.join(folder, name);
        await mkdir(path.dirname(file), { recursive: true });
        await writeFile(file, content);
      }
    },
    async load(text, more = {}) {
      await project.write({ 'shop.yaml': text });
      return await loadPipeline(path.join(folder, 'shop.yaml'), { ...options, ...more });
    },
    async mistakes(text, more = {}) {
      const error = await project.load(text, more).then(
        () => expect.fail('the file was accepted'),
        (thrown: unknown) => thrown,
      );
      if (!(error instanceof PipelineFileError)) throw error;
      expect(error.mistakes.length).toBeGreaterThan(0);
      return formatMistakes(error.mistakes, { color: false }).replaceAll(`${folder}/`, '');
    },
  };
  return project;
}

/** Puts a package into `node_modules`; its module is a file of the fixtures. */
export async function install(
  where: string,
  name: string,
  module: string,
  manifest: Readonly<Record<string, unknown>> = { exports: './index.js' },
): Promise<void> {
  const folder = path.join(where, 'node_modules', name);
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, 'package.json'), JSON.stringify({ name, type: 'module', ...manifest }));
  await writeFile(path.join(folder, 'index.js'), module);
}

/** The text of a module that hands on a plugin of the fixtures. */
export function fixture(name: string): string {
  return `export { default } from ${JSON.stringify(pathToFileURL(path.join(plugins, `${name}.ts`)).href)};`;
}

export function fixturePath(name: string): string {
  return path.join(plugins, `${name}.ts`);
}
