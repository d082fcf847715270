// The command and the plugins that come with it as a few files, which start in half the time: what `pgsilo` publishes, and what tests and benchmarks run.
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { rolldown, type OutputChunk } from 'rolldown';
import { thirdPartyNotices } from './third-party.ts';
import { readManifest, readProjects } from './workspace.ts';

const root = join(import.meta.dirname, '..');
const folder = join(root, 'packages/cli');

/** Names of the packages that stay packages: whoever installs the command gets them beside it. */
export async function keptPackages(): Promise<readonly string[]> {
  const { dependencies } = await readManifest(folder);
  for (const { manifest } of await readProjects(root, { imports: false })) {
    for (const [name, range] of Object.entries(manifest.dependencies))
      if ((dependencies[name] ?? range) !== range)
        throw new Error(`${manifest.name} needs ${name} ${range}, the command ${dependencies[name]}`);
  }
  return Object.keys(dependencies);
}

/** Writes the command to `to`, an empty folder, with the licenses of what it holds of others. Throws on a name that cannot be resolved, and on a license that does not allow it. */
export async function bundleCommand(to: string): Promise<void> {
  const bundle = await rolldown({
    input: {
      main: join(folder, 'src/main.ts'),
      // A program of its own: packages/postgres/src/starter.ts runs the file of this name beside it.
      'starter-process': join(root, 'packages/postgres/src/starter-process.ts'),
    },
    // `pg` takes its native client only when somebody asks for it.
    external: [...(await keptPackages()), 'pg-native'],
    platform: 'node',
    onLog(_level, { code, message }) {
      // `eval` in a dependency is its own matter; everything else may be a file that will be missing.
      if (code !== 'EVAL') throw new Error(message);
    },
  });
  try {
    const { output } = await bundle.write({ dir: to, format: 'esm', chunkFileNames: '[name]-[hash].js' });
    const chunks = output.filter((file): file is OutputChunk => file.type === 'chunk');
    await chmod(join(to, 'main.js'), 0o755);
    await writeFile(
      join(to, 'third-party-licenses.txt'),
      await thirdPartyNotices(chunks.flatMap(({ moduleIds }) => moduleIds)),
    );
    await mustStayBeside(to);
  } finally {
    await bundle.close();
  }
}

/** The version of the command is read from `../package.json`, by a path that holds only where the entry lies. */
async function mustStayBeside(to: string): Promise<void> {
  const text = await readFile(join(to, 'main.js'), 'utf8');
  if (!text.startsWith('#!') || !text.includes('../package.json'))
    throw new Error('main.js of the bundle is not the entry of the command');
}
