import { readFile, stat } from 'node:fs/promises';
import { createRequire, findPackageJSON, isBuiltin } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { isPlugin, PgsiloError, redact } from '@pgsilo/plugin';
import type { PluginDefinition, PluginKind } from '@pgsilo/plugin';
import { fixedKeys, reserved } from './fixed-options.ts';
import { quote } from './located.ts';
import { didYouMean } from './nearest.ts';
import type { KnownPlugin } from './pipeline.ts';

/** Where a plugin is looked up. */
export interface PluginLookup {
  /** Absolute path of the folder of the file that wrote `use:`. */
  readonly from: string;
  /** `import.meta.url` of the command. */
  readonly builtinsFrom: string;
  readonly known: readonly KnownPlugin[];
  /** How `use` is named in messages, where its value may not be shown. */
  readonly shown?: string;
}

export type PluginOf<Kind extends PluginKind> = Extract<PluginDefinition, { kind: Kind }>;

/**
 * Finds and imports what `use:` names: `local` is `@pgsilo/sink-local`, a path is a file, anything else a package.
 * Throws `plugin.unknown` when there is no such module, `plugin.invalid` when it cannot be imported, is no plugin of this kind, or has options that the pipeline file reads itself.
 */
export async function resolvePlugin<Kind extends PluginKind>(
  kind: Kind,
  use: string,
  lookup: PluginLookup,
): Promise<PluginOf<Kind>> {
  const shown = lookup.shown ?? quote(use, 200);
  const load = isPath(use)
    ? byUrl(await fileUrl(use, shown, lookup.from))
    : await findPackage(kind, use, shown, lookup);
  const plugin = pluginIn(await importModule(load, shown));
  if (!plugin) {
    const message = `${shown} was found, but its default export is no pgsilo plugin`;
    throw new PgsiloError('plugin.invalid', message, { hint: 'export default definePlugin({ … })' });
  }
  if (plugin.kind !== kind) throw wrongKind(kind, shown, plugin.kind, 'plugin.invalid');
  mustLeaveOthersNames(plugin, shown);
  return plugin as PluginOf<Kind>;
}

/** Such an option would never reach the plugin, or would mean two things as soon as the pipeline file knows it. */
function mustLeaveOthersNames({ kind, options }: PluginDefinition, shown: string): void {
  const keys: readonly string[] = fixedKeys[kind];
  const taken = Object.keys(options.shape ?? {}).filter((name) => keys.includes(name) || reserved.has(name));
  const [name] = taken;
  if (name === undefined) return;
  const list = taken.map((one) => JSON.stringify(one)).join(' and ');
  const words = taken.length === 1 ? `an option ${list}, a name` : `options ${list}, names`;
  const better = `${kind}${name.charAt(0).toUpperCase()}${name.slice(1)}`;
  throw new PgsiloError(
    'plugin.invalid',
    `the ${kind} ${shown} has ${words} that the pipeline file keeps for itself`,
    {
      hint: `rename ${taken.length === 1 ? 'it' : 'them'} in the plugin: ${JSON.stringify(better)} instead of ${JSON.stringify(name)}, for example`,
    },
  );
}

function isPath(use: string): boolean {
  return /^\.{0,2}\//.test(use);
}

async function fileUrl(use: string, shown: string, from: string): Promise<string> {
  const file = path.resolve(from, use);
  const found = await stat(file).catch(() => undefined);
  if (found?.isFile()) return pathToFileURL(file).href;
  throw new PgsiloError('plugin.unknown', `there is no file ${shown}`, {
    hint: 'the path counts from the folder of the file that names it',
  });
}

/** A package, or a module in it; no part begins with a dot. */
const packageName = /^(?:@\w[\w.-]*\/)?\w[\w.-]*(?:\/\w[\w.-]*)*$/;

/** Imports the module of a plugin. */
type Load = () => Promise<unknown>;

function byUrl(url: string): Load {
  return async () => import(/* @vite-ignore */ url);
}

/** Beside the pipeline file first; then what comes with the command, which may be one file without packages; then what is installed where the command is. */
async function findPackage(
  kind: PluginKind,
  use: string,
  shown: string,
  lookup: PluginLookup,
): Promise<Load> {
  const names = [...(/^[a-z][a-z0-9-]*$/.test(use) ? [`@pgsilo/${kind}-${use}`] : []), use];
  const beside = pathToFileURL(path.join(lookup.from, 'pipeline.yaml')).href;
  for (const name of names) {
    if (!packageName.test(name) || isBuiltin(name)) continue;
    const load =
      (await installed(name, beside, shown)) ??
      lookup.known.find((plugin) => plugin.package === name)?.load ??
      (await installed(name, lookup.builtinsFrom, shown));
    if (load !== undefined) return load;
  }
  const other = lookup.known.find((plugin) => plugin.name === use && plugin.kind !== kind);
  if (other) throw wrongKind(kind, shown, other.kind, 'plugin.unknown');
  const candidates = lookup.known.filter((plugin) => plugin.kind === kind).map((plugin) => plugin.name);
  throw new PgsiloError('plugin.unknown', `there is no ${kind} ${shown}`, {
    hint: didYouMean(use, candidates) ?? installHint(kind, candidates),
  });
}

function installHint(kind: PluginKind, candidates: readonly string[]): string {
  const list = candidates.map((name) => JSON.stringify(name)).join(', ');
  const others = 'others are npm packages that you install, or files: use: ./my-plugin.ts';
  return list === '' ? others : `every ${kind} that comes with pgsilo: ${list}; ${others}`;
}

function wrongKind(
  kind: PluginKind,
  shown: string,
  found: PluginKind,
  code: 'plugin.unknown' | 'plugin.invalid',
): PgsiloError {
  const section = found === 'source' ? 'source:' : `${found}s:`;
  return new PgsiloError(code, `${shown} is a ${found}, not a ${kind}`, {
    hint: `it belongs under ${section}`,
  });
}

async function installed(name: string, base: string, shown: string): Promise<Load | undefined> {
  const manifest = manifestOf(name, base);
  return manifest === undefined ? undefined : byUrl(await entryOf(name, base, manifest, shown));
}

function manifestOf(name: string, base: string): string | undefined {
  try {
    return findPackageJSON(name, base);
  } catch {
    return undefined;
  }
}

async function entryOf(name: string, base: string, manifest: string, shown: string): Promise<string> {
  try {
    const exported = (JSON.parse(await readFile(manifest, 'utf8')) as { exports?: unknown }).exports;
    const entry = isPackageName(name) ? importEntry(exported) : undefined;
    const file = entry === undefined ? createRequire(base).resolve(name) : inPackage(manifest, entry);
    return pathToFileURL(file).href;
  } catch (error) {
    throw new PgsiloError('plugin.invalid', `the package of ${shown} has no module to import`, {
      cause: error,
      hint: 'its package.json needs "exports" or "main"; is the installation complete?',
    });
  }
}

function isPackageName(name: string): boolean {
  return name.split('/').length === (name.startsWith('@') ? 2 : 1);
}

function inPackage(manifest: string, entry: string): string {
  const folder = path.dirname(manifest);
  const file = path.resolve(folder, entry);
  if (!file.startsWith(folder + path.sep)) throw new Error(`"exports" leads out of the package: ${entry}`);
  return file;
}

const conditions = new Set(['import', 'node', 'module-sync', 'default']);

/** What `import` of the package's own name leads to; `require.resolve` knows only the entry for CommonJS. */
function importEntry(exported: unknown): string | undefined {
  if (typeof exported === 'string') return exported;
  if (Array.isArray(exported)) return exported.map(importEntry).find((entry) => entry !== undefined);
  if (typeof exported !== 'object' || exported === null) return undefined;
  if ('.' in exported) return importEntry(exported['.']);
  for (const [condition, target] of Object.entries(exported)) {
    const entry = conditions.has(condition) ? importEntry(target) : undefined;
    if (entry !== undefined) return entry;
  }
  return undefined;
}

async function importModule(load: Load, shown: string): Promise<unknown> {
  try {
    return await load();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const first = redact(reason).split('\n', 1)[0]!.slice(0, 300);
    const missing = /@pgsilo\/plugin/.test(first) && /Cannot find package/.test(first);
    throw new PgsiloError('plugin.invalid', `${shown} cannot be imported: ${first}`, {
      cause: error,
      ...(missing ? { hint: 'install @pgsilo/plugin where the plugin lies' } : {}),
    });
  }
}

/** The default export, also of a module that was translated to CommonJS. */
function pluginIn(module: unknown): PluginDefinition | undefined {
  const exported = (module as { default?: unknown }).default;
  const candidate = isPlugin(exported) ? exported : (exported as { default?: unknown } | undefined)?.default;
  if (!isPlugin(candidate)) return undefined;
  const plugin = candidate as Partial<PluginDefinition>;
  const whole = typeof plugin.create === 'function' && typeof plugin.options?.safeParseAsync === 'function';
  return whole && typeof plugin.name === 'string' ? candidate : undefined;
}
