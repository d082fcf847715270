import { execa } from 'execa';
import { cp, mkdir, mkdtemp, readdir, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

const original = join(import.meta.dirname, '../..');

/** The repository without what was built, in a folder of its own; installed packages are those of the original. */
export interface WorkspaceCopy {
  readonly root: string;
  /** Runs a program of `node_modules/.bin` in it; Node is that of this test. Never rejects for an exit status. */
  run(program: string, ...parameters: string[]): Promise<Outcome>;
  remove(): Promise<void>;
}

export interface Outcome {
  readonly status: number | undefined;
  readonly stdout: string;
  /** Both streams, as a person sees them. */
  readonly all: string;
}

/** Takes about a second: sources are copied, packages linked. */
export async function copyWorkspace(): Promise<WorkspaceCopy> {
  const parent = await mkdtemp(join(tmpdir(), 'pgsilo-workspace-'));
  const root = join(parent, 'repository');
  await mkdir(root);
  const whole = ['packages', 'plugins', 'tools', 'docs', 'examples'];
  const files = ['package.json', 'pnpm-lock.yaml', 'pnpm-workspace.yaml', 'nx.json', 'tsconfig.base.json'];
  for (const path of [
    ...whole,
    ...files,
    'tsconfig.json',
    'vitest.config.ts',
    'test/services/built-command.ts',
    '.oxfmtrc.json',
    '.oxlintrc.json',
    '.gitignore',
    'LICENSE',
  ])
    await cp(join(original, path), join(root, path), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (from) => !from.endsWith('/dist') && !from.endsWith('.tgz'),
    });
  await linkRootPackages(root);
  await writeFakeNpx(parent, root);
  const PATH = [join(parent, 'bin'), join(root, 'node_modules/.bin'), process.env['PATH']].join(delimiter);
  return {
    root,
    async run(program, ...parameters) {
      const options = {
        cwd: root,
        env: { PATH, CI: 'true' },
        reject: false,
        all: true,
        stdin: 'ignore',
      } as const;
      const { exitCode, stdout, all } = await execa(program, parameters, options);
      return { status: exitCode, stdout, all };
    },
    remove: () => rm(parent, { recursive: true, force: true }),
  };
}

/** Links entry by entry: whatever is written into the copy's node_modules must not reach the original's. */
async function linkRootPackages(root: string): Promise<void> {
  const from = join(original, 'node_modules');
  const to = join(root, 'node_modules');
  await mkdir(join(to, '@pgsilo'), { recursive: true });
  for (const entry of await readdir(from)) {
    if (['@pgsilo', 'pgsilo', '.pgsilo-setup', '.vite-temp', '.vitest-cache'].includes(entry)) continue;
    await symlink(join(from, entry), join(to, entry));
  }
  // Relative links, so that they lead to the copy's packages.
  for (const entry of await readdir(join(from, '@pgsilo')))
    await symlink(await readlink(join(from, '@pgsilo', entry)), join(to, '@pgsilo', entry));
  await symlink('../packages/cli', join(to, 'pgsilo'));
}

/** Stands in for `npx pnpm install`, which takes long and may need the network: links new plugins as pnpm would. */
async function writeFakeNpx(parent: string, root: string): Promise<void> {
  const bin = join(parent, 'bin');
  await mkdir(bin);
  const script = `#!${process.execPath}
const { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } = require('node:fs');
const { dirname, join } = require('node:path');
const root = ${JSON.stringify(root)};
appendFileSync(${JSON.stringify(join(parent, 'calls'))}, process.argv.slice(2).join(' ') + '\\n');
if (!process.argv.includes('install')) process.exit(0);
const folders = ['packages', 'plugins'].flatMap((parent) => readdirSync(join(root, parent)).map((name) => join(root, parent, name)));
const manifestOf = (folder) => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
const byName = new Map(folders.map((folder) => [manifestOf(folder).name, folder]));
for (const folder of folders) {
  const { dependencies, devDependencies } = manifestOf(folder);
  for (const name of Object.keys({ ...dependencies, ...devDependencies })) {
    const link = join(folder, 'node_modules', name);
    if (existsSync(link)) continue;
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(byName.get(name) ?? join(root, 'node_modules', name), link);
  }
}
`;
  await writeFile(join(bin, 'npx'), script, { mode: 0o755 });
}
