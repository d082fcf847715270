import { execa } from 'execa';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseSync } from 'oxc-parser';

const workspace = join(import.meta.dirname, '..');
/** What the options of all sources have in common: an entry of its own, so that it brings nothing else. What it loads is looked at too. */
const sharedOptions = '@pgsilo/postgres/options';
const sharedOptionsFile = join(workspace, 'packages/postgres/src/options.ts');

/** Packages whose types are seen by who imports a plugin: those that its published declarations name, from `index.d.ts` on. */
export async function importedTypes(root: string, folder: string): Promise<readonly string[]> {
  const out = await mkdtemp(join(tmpdir(), 'pgsilo-types-'));
  try {
    const src = join(root, folder, 'src');
    const compilerOptions = {
      noEmit: false,
      emitDeclarationOnly: true,
      noCheck: true,
      noResolve: true,
      types: [],
      stripInternal: true,
      rootDir: src,
      outDir: join(out, 'types'),
    };
    const config = { extends: join(workspace, 'tsconfig.base.json'), compilerOptions, include: [src] };
    await writeFile(join(out, 'tsconfig.json'), JSON.stringify(config));
    await execa('tsc', ['-p', out], { preferLocal: true, localDir: workspace });
    return await packagesFrom(join(out, 'types/index.d.ts'), true);
  } finally {
    await rm(out, { recursive: true, force: true });
  }
}

/** Packages that are loaded when a plugin is imported, before it is created. */
export function importedPackages(root: string, folder: string): Promise<readonly string[]> {
  return packagesFrom(join(root, folder, 'src/index.ts'), false);
}

/** Follows relative imports; `types` too, or only what is left when types are stripped. */
async function packagesFrom(entry: string, types: boolean): Promise<readonly string[]> {
  const packages = new Set<string>();
  const seen = new Set<string>();
  const open = [entry];
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (seen.has(file)) continue;
    seen.add(file);
    for (const specifier of specifiersIn(file, await readFile(file, 'utf8'), types)) {
      if (specifier === sharedOptions) open.push(...(types ? [] : [sharedOptionsFile]));
      else if (!specifier.startsWith('.')) packages.add(packageOf(specifier));
      else open.push(join(dirname(file), types ? specifier.replace(/\.[jt]s$/, '.d.ts') : specifier));
    }
  }
  return [...packages].toSorted();
}

function specifiersIn(file: string, text: string, types: boolean): string[] {
  const { module } = parseSync(file, text);
  const imports = module.staticImports
    .filter(({ entries }) => types || entries.length === 0 || entries.some((entry) => !entry.isType))
    .map(({ moduleRequest }) => moduleRequest.value);
  const exports = module.staticExports
    .flatMap(({ entries }) => entries)
    .filter((entry) => types || !entry.isType)
    .flatMap(({ moduleRequest }) => moduleRequest?.value ?? []);
  // `import('pg').Client` within a type.
  const inline = types ? [...text.matchAll(/\bimport\(["']([^"']+)["']\)/g)].map(([, name]) => name!) : [];
  return [...imports, ...exports, ...inline];
}

function packageOf(specifier: string): string {
  const parts = specifier.startsWith('@') ? 2 : 1;
  return specifier.startsWith('node:') ? specifier : specifier.split('/').slice(0, parts).join('/');
}
