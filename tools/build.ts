// Writes `dist` for every package as it is published (`pnpm pack` in its folder): JavaScript and declarations, and of the command its bundle.
import { execa } from 'execa';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundleCommand } from './bundle.ts';
import { readProjects } from './workspace.ts';

const root = join(import.meta.dirname, '..');
const configs = join(root, '.cache', 'build');
await mkdir(configs, { recursive: true });

for (const { folder, manifest } of await readProjects(root, { imports: false })) {
  const outDir = join(root, folder, 'dist');
  const rootDir = join(root, folder, 'src');
  await rm(outDir, { recursive: true, force: true });
  if (folder === 'packages/cli') {
    await bundleCommand(outDir);
    console.log(`${manifest.name}: ${folder}/dist`);
    continue;
  }
  const config = join(configs, `${folder.replace('/', '-')}.json`);
  await writeFile(config, JSON.stringify(buildConfig(rootDir, outDir)));
  const options = { cwd: root, preferLocal: true, localDir: root, stdio: 'inherit', reject: false } as const;
  const { failed } = await execa('tsc', ['-p', config], options);
  if (failed) {
    console.error(`${folder} could not be built`);
    process.exit(1);
  }
  console.log(`${manifest.name}: ${folder}/dist`);
}

/**
 * Each file by itself, which `isolatedDeclarations` makes possible: resolving imports would lead through pnpm's links
 * into the sources of the other packages and emit those too. `npm run typecheck` is what checks them.
 */
function buildConfig(rootDir: string, outDir: string): object {
  return {
    extends: join(root, 'tsconfig.base.json'),
    compilerOptions: { noEmit: false, noCheck: true, noResolve: true, stripInternal: true, rootDir, outDir },
    include: [rootDir],
    exclude: [join(rootDir, '**/*.test.ts')],
  };
}
