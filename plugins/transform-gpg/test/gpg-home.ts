import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder of keys of its own for the real gpg, with an agent of its own. */
export interface GpgHome {
  readonly path: string;
  readonly env: Readonly<Record<string, string>>;
  run(parameters: readonly string[], input?: Uint8Array | string): Promise<GpgOutcome>;
  /** Like {@link run}, and throws unless gpg exits with 0. */
  must(parameters: readonly string[], input?: Uint8Array | string): Promise<Buffer>;
  /** Makes a key without a passphrase and returns its fingerprint. */
  makeKey(name: string, settings?: KeySettings): Promise<string>;
  /** Writes a key, found by its whole name, into the folder and returns the file's path. */
  exportPublic(name: string): Promise<string>;
  exportPrivate(name: string, passphrase?: string): Promise<string>;
  dispose(): Promise<void>;
}

export interface KeySettings {
  /** As gpg takes it: `future-default`, `rsa2048`. */
  readonly algorithm?: string;
  readonly usage?: string;
  readonly expire?: string;
  readonly passphrase?: string;
  /** The time at which gpg believes it is made. */
  readonly at?: string;
}

export interface GpgOutcome {
  readonly status: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export async function makeGpgHome(config: readonly string[] = []): Promise<GpgHome> {
  // Short: the agent's socket lies in it, and such a path has at most 107 characters.
  const path = await mkdtemp(join(tmpdir(), 'pgsilo-gpg-'));
  if (config.length > 0) await writeFile(join(path, 'gpg.conf'), `${config.join('\n')}\n`);
  const env = { GNUPGHOME: path };
  const run: GpgHome['run'] = (parameters, input) =>
    runProgram('gpg', ['--batch', '--yes', ...parameters], env, input);
  const must: GpgHome['must'] = async (parameters, input) => {
    const { status, stdout, stderr } = await run(parameters, input);
    if (status !== 0) throw new Error(`gpg ${parameters.join(' ')} exited with ${status}: ${stderr}`);
    return stdout;
  };
  const write = async (file: string, parameters: readonly string[]): Promise<string> => {
    await writeFile(join(path, file), await must(parameters));
    return join(path, file);
  };
  return {
    path,
    env,
    run,
    must,
    async makeKey(
      name,
      { algorithm = 'future-default', usage = 'default', expire = 'never', passphrase = '', at } = {},
    ) {
      const time = at === undefined ? [] : ['--faked-system-time', at];
      const secret = ['--pinentry-mode', 'loopback', '--passphrase', passphrase];
      await must([...time, ...secret, '--quick-generate-key', name, algorithm, usage, expire]);
      const listed = String(await must(['--with-colons', '--list-keys', `=${name}`]));
      const fingerprint = /^fpr:+([0-9A-F]{40}):/m.exec(listed)![1]!;
      // For an algorithm that is named gpg makes no subkey of its own accord.
      if (algorithm !== 'future-default' && usage === 'default')
        await must([...time, ...secret, '--quick-add-key', fingerprint, algorithm, 'encr', expire]);
      return fingerprint;
    },
    exportPublic: (name) => write(`${name}.asc`, ['--armor', '--export', `=${name}`]),
    exportPrivate: (name, passphrase = '') =>
      write(`${name}-private.asc`, [
        '--pinentry-mode',
        'loopback',
        '--passphrase',
        passphrase,
        '--armor',
        '--export-secret-keys',
        `=${name}`,
      ]),
    async dispose() {
      await runProgram('gpgconf', ['--kill', 'all'], env);
      await rm(path, { recursive: true, force: true });
    },
  };
}

function runProgram(
  program: string,
  parameters: readonly string[],
  env: Readonly<Record<string, string>>,
  input?: Uint8Array | string,
): Promise<GpgOutcome> {
  return new Promise((resolve) => {
    const child = execFile(
      program,
      parameters,
      { env: { ...process.env, ...env }, encoding: 'buffer', maxBuffer: 2 ** 30 },
      (error, stdout, stderr) => {
        const status = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
        resolve({ status, stdout, stderr: String(stderr) });
      },
    );
    // One that stops reading early says why by its status.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input ?? '');
  });
}
