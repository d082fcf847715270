import { builtinModules } from 'node:module';
import { posix } from 'node:path';
import type { Import, Project } from './workspace.ts';

/** A dependency between two projects as nx sees it. */
export interface Edge {
  readonly source: string;
  readonly target: string;
}

const PLUGIN = '@pgsilo/plugin';
const TESTKIT = '@pgsilo/testkit';
const CLI = 'pgsilo';

/** Every breach of the direction plugin <- engine <- cli and plugin <- postgres <- sources, as one line each. */
export function findBreaches(projects: readonly Project[], edges: readonly Edge[]): string[] {
  const byName = new Map(projects.map((project) => [project.manifest.name, project]));
  return [
    ...projects.flatMap((project) => manifestBreaches(project, byName)),
    ...projects.flatMap((project) => project.imports.flatMap((one) => importBreaches(project, one, byName))),
    ...edgeBreaches(edges, byName),
  ];
}

function isPlugin({ folder }: Project): boolean {
  return folder.startsWith('plugins/');
}

/** What the code of a project that users get may import. */
function allowed(project: Project): readonly string[] {
  const { name } = project.manifest;
  if (name === PLUGIN) return [];
  if (name === CLI) return ['@pgsilo/engine', '@pgsilo/pipeline-file', PLUGIN];
  return project.folder.startsWith('plugins/source-') ? [PLUGIN, '@pgsilo/postgres'] : [PLUGIN];
}

/** What it may import only when it is needed: whoever starts the command must not wait for a suite that doctor alone runs. */
function allowedLate({ manifest: { name } }: Project): readonly string[] {
  return name === CLI ? [TESTKIT] : [];
}

/** What its tests may import besides: the contract must not depend on the suite that tests it. */
function allowedInTests({ manifest: { name } }: Project): readonly string[] {
  return name === PLUGIN || name === TESTKIT ? [] : [TESTKIT];
}

function manifestBreaches(project: Project, byName: ReadonlyMap<string, Project>): string[] {
  const { folder, manifest } = project;
  const { dependencies, optionalDependencies, peerDependencies, devDependencies } = manifest;
  const shipped = { ...dependencies, ...optionalDependencies, ...peerDependencies };
  const breaches: string[] = [];
  for (const [name, version] of Object.entries({ ...shipped, ...devDependencies })) {
    const target = byName.get(name);
    const place = `${folder}/package.json`;
    if (manifest.name === '@pgsilo/engine' && name === 'pg')
      breaches.push(`${place}: the engine must not know pg`);
    if (!target) continue;
    // They are loaded by name at run time, so the command must bring them along.
    const builtIn = manifest.name === CLI && isPlugin(target);
    const mayTest = !(name in shipped) && allowedInTests(project).includes(name);
    const may = [...allowed(project), ...allowedLate(project)].includes(name);
    if (!may && !builtIn && !mayTest) {
      breaches.push(`${place}: ${manifest.name} must not depend on ${name}`);
    }
    if (version !== 'workspace:*') breaches.push(`${place}: ${name} must be "workspace:*", not "${version}"`);
  }
  return breaches;
}

function importBreaches(project: Project, one: Import, byName: ReadonlyMap<string, Project>): string[] {
  const { folder, manifest } = project;
  const { specifier, file, line } = one;
  const place = `${file}:${line}`;
  if (specifier.startsWith('node:') || builtinModules.includes(specifier)) return [];
  if (specifier.startsWith('/') || specifier.startsWith('file:'))
    return [`${place}: absolute path ${specifier}`];
  if (specifier.startsWith('.')) {
    const path = posix.join(posix.dirname(file), specifier);
    return path.startsWith(`${folder}/`) ? [] : [`${place}: ${specifier} leaves ${folder}`];
  }
  const name = packageName(specifier);
  const target = byName.get(name);
  if (target) {
    if (name === manifest.name) return [];
    if (allowed(project).includes(name) || (one.inTest && allowedInTests(project).includes(name))) return [];
    if (manifest.name === CLI && isPlugin(target) && one.dynamic) return [];
    if (allowedLate(project).includes(name) && one.dynamic) return [];
    return [`${place}: ${manifest.name} must not import ${name}`];
  }
  if (manifest.name === '@pgsilo/engine' && name === 'pg') return [`${place}: the engine must not know pg`];
  // The root's packages are found from here too, but not where this package is installed.
  const { dependencies, optionalDependencies, peerDependencies, devDependencies } = manifest;
  // What the command imports becomes part of its bundle, and is not installed beside it.
  const bundled = manifest.name === CLI ? devDependencies : {};
  const declared = { ...dependencies, ...optionalDependencies, ...peerDependencies, ...bundled };
  if (one.inTest || name in declared) return [];
  return [`${place}: ${name} is not among the dependencies in ${folder}/package.json`];
}

function edgeBreaches(edges: readonly Edge[], byName: ReadonlyMap<string, Project>): string[] {
  return edges.flatMap(({ source, target }) => {
    const from = byName.get(source);
    const to = byName.get(target);
    if (!from || !to || from === to) return [];
    // nx does not tell tests and what only developers need from the rest; the two checks above do.
    const builtIn = source === CLI && isPlugin(to);
    if (builtIn || [...allowed(from), ...allowedInTests(from)].includes(target)) return [];
    return [`nx graph: ${source} must not depend on ${target}`];
  });
}

function packageName(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}
