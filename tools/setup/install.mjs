import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dieOf, run } from './child.mjs';
import { withLock } from './lock.mjs';

const PNPM = 'pnpm@12.21.0';
const NODE_MAJOR = 24;

/** True when the last set-up ended well and nothing that it depends on has changed since. */
export function isSetUp(root) {
  return read(stampFile(root)) === fingerprint(root) && existsSync(nodeFile(root));
}

export async function setUp(root, { updateLockfile }) {
  const cache = join(root, '.cache');
  try {
    mkdirSync(cache, { recursive: true });
    accessSync(cache, constants.W_OK);
  } catch (error) {
    throw new Error(
      `${root} cannot be written to (${error.code}): use a copy of the repository that is yours.`,
      { cause: error },
    );
  }
  await withLock(join(cache, 'setup.lock'), async (heldByToo) => {
    // Another process may have done it while this one waited for the lock.
    if (!updateLockfile && isSetUp(root)) return;
    say(
      'Setting up Node 24 and the packages in node_modules. Nothing outside this folder is changed but caches.',
    );
    const start = Date.now();
    const unfinished = join(cache, 'setup-unfinished');
    // A set-up that was killed can leave a package half-written, which pnpm would take for whole.
    if (existsSync(unfinished)) rmSync(join(root, 'node_modules'), { recursive: true, force: true });
    rmSync(stampFile(root), { force: true });
    writeFileSync(unfinished, '');
    await install(root, updateLockfile, heldByToo);
    provideNode(root);
    writeFileSync(stampFile(root), fingerprint(root));
    rmSync(unfinished);
    say(`Set up in ${((Date.now() - start) / 1000).toFixed(1)} s.`);
  });
}

async function install(root, updateLockfile, started) {
  // "CI" keeps pnpm from asking questions.
  const env = { ...process.env, ...cachesUnder(root), CI: 'true' };
  // With "production" here the package managers would leave out what the tests need.
  delete env.NODE_ENV;
  const npx = async (...parameters) => {
    const result = await run(
      'npx',
      ['-y', PNPM, ...parameters],
      { cwd: root, env, stdio: ['ignore', 2, 2] },
      started,
    );
    if (result.signal) dieOf(result.signal);
    return result.status === 0 && result.signal === null;
  };
  if (!(await npx('--version'))) {
    // npx never mends what a kill left half-written in npm's cache.
    say('npx could not run pnpm: trying once more with a fresh cache of its own.');
    env.npm_config_cache = join(root, '.cache', 'npm');
    rmSync(env.npm_config_cache, { recursive: true, force: true });
    if (!(await npx('--version')))
      throw new Error('pnpm could not be fetched through npx: the reason stands above.');
  }
  const lockfile = updateLockfile ? '--no-frozen-lockfile' : '--frozen-lockfile';
  if (!(await npx('install', lockfile, '--prefer-offline', '--reporter=append-only'))) {
    throw new Error(
      'The packages could not be installed: the reason stands above. Where it says that the lockfile is not up to ' +
        'date, a package.json was changed without it: run `npm run deps`.',
    );
  }
}

/** npm and pnpm keep their caches under HOME; where it cannot be written to they get a place in the workspace. */
function cachesUnder(root) {
  try {
    accessSync(process.env.HOME ?? '', constants.W_OK);
    return {};
  } catch {
    const home = join(root, '.cache', 'home');
    const xdg = Object.fromEntries(
      ['DATA', 'CACHE', 'STATE'].map((kind) => [`XDG_${kind}_HOME`, join(home, kind)]),
    );
    return { ...xdg, HOME: home, npm_config_cache: join(home, 'npm') };
  }
}

/** The package `node` has no build for every platform; a Node 24 or later that runs this file does as well. */
function provideNode(root) {
  const node = nodeFile(root);
  const { stdout } = spawnSync(node, ['-p', 'process.versions.node'], { encoding: 'utf8' });
  if (Number.parseInt(stdout, 10) >= NODE_MAJOR) return;
  if (Number.parseInt(process.versions.node, 10) < NODE_MAJOR) {
    throw new Error(
      `The npm package "node" brought no Node 24 for ${process.platform} ${process.arch}. Run the command again, ` +
        'or install Node 24 or later on the machine.',
    );
  }
  rmSync(node, { force: true });
  symlinkSync(process.execPath, node);
}

/** What node_modules was made from, as one hash. */
function fingerprint(root) {
  const hash = createHash('sha256').update(`${PNPM} node ${NODE_MAJOR} ${process.platform} ${process.arch}`);
  const manifests = ['packages', 'plugins'].flatMap((folder) =>
    (existsSync(join(root, folder)) ? readdirSync(join(root, folder)).sort() : []).map((name) =>
      join(folder, name, 'package.json'),
    ),
  );
  for (const file of ['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'package.json', ...manifests]) {
    hash.update(`\0${file}\0${read(join(root, file)) ?? ''}`);
  }
  return hash.digest('hex');
}

function stampFile(root) {
  return join(root, 'node_modules', '.pgsilo-setup');
}

function nodeFile(root) {
  return join(root, 'node_modules', '.bin', 'node');
}

function read(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

function say(text) {
  process.stderr.write(`${text}\n`);
}
