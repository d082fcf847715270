import { execa } from 'execa';
import { join } from 'node:path';
import { commandFolders } from './built-command.ts';

/** Programs that a user has installed: Node. */
const programs = join(import.meta.dirname, '..', '..', 'node_modules', '.bin');

/** How one call of `pgsilo` ended. */
export interface Ended {
  readonly exit: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
  /** Both streams, for what must be nowhere. */
  readonly all: string;
  /** Standard output as JSON. */
  // What is in it is the test's to say.
  // oxlint-disable-next-line typescript/no-explicit-any
  json<Document = Record<string, any>>(): Document;
}

export interface CallOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** Variables of the machine that would change what a call does. */
const foreign = /^(PG|PGSILO_|BUILT_PGSILO|VITEST|NODE_|FORCE_COLOR$|NO_COLOR$)/;

/** The environment of a child: PATH with `pgsilo` in front, built as it is published, and nothing that belongs to this test run. */
export function cleanEnvironment(more: CallOptions['env'] = {}): Record<string, string> {
  const own = Object.entries(process.env).filter(([name]) => !foreign.test(name));
  const { bin, cache } = commandFolders();
  const PATH = `${bin}:${programs}:${process.env['PATH'] ?? ''}`;
  const all = { ...Object.fromEntries(own), PATH, XDG_CACHE_HOME: cache, ...more };
  return Object.fromEntries(
    Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

/** A call that goes on. */
export interface Running {
  readonly pid: number;
  /** How it ended; never rejects because of its exit status. */
  readonly result: Promise<Ended>;
  kill(signal: NodeJS.Signals): void;
  /** What it has said on standard error so far. */
  said(): string;
}

/** Starts `pgsilo` and does not wait. */
export function startPgsilo(parameters: readonly string[], { cwd, env }: CallOptions): Running {
  const child = execa('pgsilo', parameters, {
    cwd,
    env: cleanEnvironment(env),
    extendEnv: false,
    reject: false,
    stdin: 'ignore',
    timeout: 120_000,
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  return {
    pid: child.pid!,
    result: child.then(toEnded),
    kill: (signal) => child.kill(signal),
    said: () => said,
  };
}

/** Runs `pgsilo` to its end, whatever its exit status. */
export async function pgsilo(parameters: readonly string[], options: CallOptions): Promise<Ended> {
  return startPgsilo(parameters, options).result;
}

function toEnded(result: { exitCode?: number | undefined; stdout: string; stderr: string }): Ended {
  const { exitCode, stdout, stderr } = result;
  return {
    exit: exitCode,
    stdout,
    stderr,
    all: `${stdout}\n${stderr}`,
    json: () => {
      try {
        return JSON.parse(stdout);
      } catch (error) {
        throw new Error(`standard output is no JSON document:\n${stdout}\n--- standard error:\n${stderr}`, {
          cause: error,
        });
      }
    },
  };
}

/** Runs it and throws unless it ended with 0, with all that it said. */
export async function pgsiloOk(parameters: readonly string[], options: CallOptions): Promise<Ended> {
  const result = await pgsilo(parameters, options);
  if (result.exit === 0) return result;
  throw new Error(`pgsilo ${parameters.join(' ')} ended with ${result.exit}:\n${result.all}`);
}
