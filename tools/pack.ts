// Builds every package and packs it as it is published: `npm run pack -- FOLDER`.
import { execa } from 'execa';
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';

const root = join(import.meta.dirname, '..');
// npm runs scripts in the repository, wherever it was called.
const folder = resolve(
  process.env['INIT_CWD'] ?? process.cwd(),
  process.argv[2] ?? join(root, '.cache/packages'),
);
await mkdir(folder, { recursive: true });

const options = { cwd: root, preferLocal: true, localDir: root, stdio: 'inherit', reject: false } as const;
const pack = ['-r', '--filter=./packages/*', '--filter=./plugins/*', 'pack', '--pack-destination', folder];
const steps = [
  [process.execPath, [join(root, 'tools/build.ts')]],
  ['pnpm', pack],
] as const;
for (const [program, parameters] of steps) {
  const { failed } = await execa(program, parameters, options);
  if (failed) process.exit(1);
}
console.log(`npm install ${join(folder, '*.tgz')}`);
