import { chmod, copyFile, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { bundleCommand, keptPackages } from '../../tools/bundle.ts';

const command = join(import.meta.dirname, '../../packages/cli');
/** Where {@link buildCommand} put the command, for this process and its children. */
const variable = 'BUILT_PGSILO';
const failure = 'BUILT_PGSILO_FAILURE';

/**
 * Builds the command as it is published, in a folder of its own, so that nobody has it changed under his feet. A call takes half of what it takes from the sources.
 * @returns removes it.
 */
export async function buildCommand(): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'pgsilo-command-'));
  // A PostgreSQL that fetches write-ahead log runs it as another user.
  await chmod(folder, 0o755);
  await copyFile(join(command, 'package.json'), join(folder, 'package.json'));
  await Promise.all(['dist', 'bin', 'cache'].map((name) => mkdir(join(folder, name))));
  await bundleCommand(join(folder, 'dist'));
  await symlink('../dist/main.js', join(folder, 'bin/pgsilo'));
  for (const name of await keptPackages()) {
    const link = join(folder, 'node_modules', name);
    await mkdir(dirname(link), { recursive: true });
    await symlink(join(command, 'node_modules', name), link);
  }
  process.env[variable] = folder;
  return () => rm(folder, { recursive: true, force: true });
}

/** The folder in which `pgsilo` is a program, and one in which it may keep its compiled form: the user's own would grow with each run of the tests. */
export function commandFolders(): { readonly bin: string; readonly cache: string } {
  const folder = process.env[variable];
  if (folder === undefined)
    throw new Error(process.env[failure] ?? 'the command was not built: buildCommand() comes first');
  return { bin: join(folder, 'bin'), cache: join(folder, 'cache') };
}

/** What vitest runs before all tests; what it returns, after them. A command that cannot be built fails the tests that call it, and none of an author's other ones. */
export default async function setUp(): Promise<() => Promise<void>> {
  return buildCommand().catch((error: unknown) => {
    process.env[failure] = String(error);
    return async () => undefined;
  });
}
