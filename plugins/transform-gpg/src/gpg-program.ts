import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { text } from 'node:stream/consumers';
import { PgsiloError, redact, throwIfAborted } from '@pgsilo/plugin';
import { corrupt } from './corrupt.ts';

/** What gpg and the agent's dialogue need of our environment; the pipeline's secrets may stand in the rest. */
const passedVariables =
  `PATH HOME USER LOGNAME TMPDIR TZ LD_LIBRARY_PATH GNUPGHOME GPG_TTY DISPLAY WAYLAND_DISPLAY XDG_RUNTIME_DIR
  DBUS_SESSION_BUS_ADDRESS SSH_CONNECTION PINENTRY_USER_DATA`.split(/\s+/);
const parametersOfGpg = ['--batch', '--no-tty', '--quiet', '--status-fd', '3', '--decrypt'];
const keptWords = 2000;

/**
 * A message decrypted by the program gpg. The output ends only after gpg exited with status 0 and said that the message was encrypted and whole:
 * it prints plaintext before it has checked it, and prints what never was encrypted, too.
 */
export async function* decryptByGpg(
  message: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  throwIfAborted(signal);
  const child = spawn('gpg', parametersOfGpg, {
    env: environment(),
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
  });
  const ended = endOf(child);
  const kill = (): void => void child.kill('SIGTERM');
  signal.addEventListener('abort', kill, { once: true });
  let inputError: unknown;
  async function* input(): AsyncGenerator<Uint8Array> {
    try {
      yield* message;
    } catch (error) {
      inputError = error;
      throw error;
    }
  }
  const [stdin, stdout, stderr, status] = child.stdio as unknown as [Writable, Readable, Readable, Readable];
  // gpg closes its input when it gives up; its own words then say why.
  const fed = pipeline(input, stdin).catch(() => {
    if (inputError !== undefined) kill();
  });
  const words = text(stderr).catch(() => '');
  const told = text(status).catch(() => '');
  let finished = false;
  try {
    for await (const chunk of stdout) yield chunk as Uint8Array;
    const [end] = await Promise.all([ended, fed]);
    throwIfAborted(signal);
    if (inputError !== undefined) throw inputError;
    judge(end, await told, await words);
    finished = true;
  } finally {
    signal.removeEventListener('abort', kill);
    if (!finished) {
      kill();
      for (const stream of [stdin, stdout, stderr, status]) stream.destroy();
    }
    await Promise.all([ended, fed]);
  }
}

interface End {
  readonly error?: NodeJS.ErrnoException;
  readonly code?: number | null;
  readonly signal?: NodeJS.Signals | null;
}

function endOf(child: ChildProcess): Promise<End> {
  const { promise, resolve } = Promise.withResolvers<End>();
  child.once('error', (error) => resolve({ error }));
  child.once('exit', (code, signal) => resolve({ code, signal }));
  return promise;
}

/** Throws unless gpg is content. */
function judge(end: End, told: string, stderr: string): void {
  if (end.error) {
    throw new PgsiloError('transform.key-missing', `gpg could not be started (${end.error.code})`, {
      cause: end.error,
      hint: 'Install GnuPG, or name the private keys in decryptKeys.',
    });
  }
  const said = (keyword: string): boolean => new RegExp(`^\\[GNUPG:\\] ${keyword}\\b`, 'm').test(told);
  if (end.code === 0 && said('DECRYPTION_OKAY') && said('GOODMDC')) return;
  const how = end.signal ? `was ended by ${end.signal}` : `exited with status ${end.code}`;
  const words = `gpg ${how}: ${redact(stderr.trim().slice(-keptWords)) || 'without a word'}`;
  // It had the session key, so what is wrong is the data.
  if (said('DECRYPTION_INFO')) throw corrupt(words);
  throw new PgsiloError('transform.key-missing', `gpg has no key that decrypts this: ${words}`, {
    hint: 'Look at `gpg --list-secret-keys` as the user that runs pgsilo; GNUPGHOME says where the keys are.',
  });
}

function environment(): Record<string, string> {
  const passed = passedVariables.flatMap((name): [string, string][] => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value]];
  });
  // English and plain, for people who search for what it says.
  return { ...Object.fromEntries(passed), LC_ALL: 'C' };
}
