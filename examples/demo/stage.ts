import { spawn, type ChildProcess } from 'node:child_process';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { styleText } from 'node:util';

/** Where this checkout's `pgsilo` and its Node are. */
export const binFolder: string = join(import.meta.dirname, '..', '..', 'node_modules', '.bin');

/** How long a child may take to end after it was interrupted, in milliseconds. */
const grace = 20_000;
/** A terminal's Ctrl-C reaches the child by itself; this long after it, it is told once more. */
const secondWord = 1500;

/** What the audience sees: numbered steps, commands as they would be typed, and their own output. */
export class Stage {
  readonly #folder: string;
  readonly #signal: AbortSignal;
  readonly #steps: number;
  #step = 0;
  #variables: Readonly<Record<string, string>> = {};

  constructor(folder: string, steps: number, signal: AbortSignal) {
    this.#folder = folder;
    this.#signal = signal;
    this.#steps = steps;
  }

  step(title: string): void {
    this.#signal.throwIfAborted();
    this.#step += 1;
    this.say(`\n${paint('bold', paint('cyan', `${this.#step}/${this.#steps}  ${title}`))}`);
  }

  say(text = ''): void {
    process.stdout.write(`${text}\n`);
  }

  /** Something that the demo itself does on the server. */
  act(text: string): void {
    this.say(paint('yellow', text));
  }

  good(text: string): void {
    this.say(`${paint('green', '✓')} ${text}`);
  }

  /** Variables for the commands that follow. */
  use(variables: Readonly<Record<string, string>>): void {
    this.#variables = variables;
  }

  /** Runs `pgsilo` with the demo's own terminal, so that it looks as it would. Throws when it does not end with 0. */
  async pgsilo(...parameters: readonly string[]): Promise<void> {
    this.#signal.throwIfAborted();
    const line = `pgsilo ${parameters.join(' ')}`;
    this.say(paint('bold', `$ ${line}`));
    const env = {
      ...process.env,
      ...this.#variables,
      PATH: `${binFolder}${delimiter}${process.env['PATH'] ?? ''}`,
    };
    const child = spawn('pgsilo', parameters, {
      cwd: this.#folder,
      env,
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    const { status, signal } = await this.#end(child);
    this.#signal.throwIfAborted();
    if (status !== 0)
      throw new Error(`step ${this.#step} failed: \`${line}\` ended with ${signal ?? status}`);
  }

  #end(child: ChildProcess): Promise<{ status: number | null; signal: NodeJS.Signals | null }> {
    const interrupt = async (): Promise<void> => {
      await sleep(process.stdin.isTTY ? secondWord : 0);
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
      await sleep(grace, undefined, { ref: false });
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    };
    const onAbort = (): void => void interrupt();
    this.#signal.addEventListener('abort', onAbort, { once: true });
    return new Promise((resolve, reject) => {
      child.once('error', (error) =>
        reject(new Error(`pgsilo could not be started: ${error.message}`, { cause: error })),
      );
      child.once('exit', (status, signal) => {
        this.#signal.removeEventListener('abort', onAbort);
        resolve({ status, signal });
      });
    });
  }
}

/** Text in a colour, on a terminal that shows colours. */
export function paint(format: 'bold' | 'cyan' | 'yellow' | 'green' | 'red' | 'dim', text: string): string {
  return styleText(format, text, { stream: process.stdout });
}
