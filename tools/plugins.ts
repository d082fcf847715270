import { isPlugin, type PluginDefinition } from '@pgsilo/plugin';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { readProjects } from './workspace.ts';

export interface PluginFolder {
  readonly folder: string;
  readonly packageName: string;
  readonly kind: string;
  readonly name: string;
  /** Missing when the module cannot be used: a problem says why. */
  readonly definition?: PluginDefinition;
}

const folderForm = /^plugins\/((source|transform|sink)-([a-z][a-z0-9-]*))$/;

/** Every folder of `plugins/`, with what its module declares. */
export async function readPlugins(root: string): Promise<{ plugins: PluginFolder[]; problems: string[] }> {
  const plugins: PluginFolder[] = [];
  const problems: string[] = [];
  for (const { folder, manifest } of await readProjects(root, { imports: false })) {
    if (!folder.startsWith('plugins/')) continue;
    const [, base, kind, name] = folderForm.exec(folder) ?? [];
    if (!base || !kind || !name) {
      problems.push(`${folder}: a plugin's folder is named <source|transform|sink>-<name>`);
      continue;
    }
    if (manifest.name !== `@pgsilo/${base}`)
      problems.push(`${folder}: its package must be named @pgsilo/${base}`);
    const definition = await load(join(root, folder, 'src/index.ts'));
    if (typeof definition === 'string') problems.push(`${folder}/src/index.ts: ${definition}`);
    else if (definition.kind !== kind || definition.name !== name) {
      problems.push(`${folder}/src/index.ts: declares ${definition.kind} "${definition.name}"`);
    }
    const found = typeof definition === 'string' ? {} : { definition };
    plugins.push({ folder, packageName: `@pgsilo/${base}`, kind, name, ...found });
  }
  return { plugins, problems };
}

/** A file's text, or undefined when there is none. */
export async function readText(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function load(file: string): Promise<PluginDefinition | string> {
  try {
    const module = (await import(pathToFileURL(file).href)) as { default?: unknown };
    return isPlugin(module.default) ? module.default : 'its default export is not made by definePlugin()';
  } catch (error) {
    return `cannot be imported: ${(error as Error).message}`;
  }
}
