// Runs a command on the workspace's own Node 24 and pnpm, and sets both up first where they are missing:
//   node tools/bootstrap.mjs [--postgres] [--update-lockfile] [command [argument...]]
// Plain JavaScript for Node 20, with nothing but Node's own modules: it runs before anything is installed.
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { dieOf, run } from './setup/child.mjs';
import { isSetUp, setUp } from './setup/install.mjs';
import { missingPostgres } from './setup/postgres-programs.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const all = process.argv.slice(2);
const first = all.findIndex((argument) => !argument.startsWith('--'));
const options = first === -1 ? all : all.slice(0, first);
const [program, ...parameters] = first === -1 ? [] : all.slice(first);

try {
  // Before the set-up: nobody should wait for it only to hear that something else is missing.
  const problem = options.includes('--postgres') ? missingPostgres() : undefined;
  if (problem) throw new Error(problem);
  const updateLockfile = options.includes('--update-lockfile');
  if (updateLockfile || !isSetUp(root)) await setUp(root, { updateLockfile });
  if (program !== undefined) await runCommand();
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}

async function runCommand() {
  const bin = join(root, 'node_modules', '.bin');
  const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ''}` };
  const path = program === 'node' ? join(bin, 'node') : program;
  const { status, signal } = await run(path, parameters, { env, stdio: 'inherit' });
  if (signal) dieOf(signal);
  else process.exitCode = status;
}
