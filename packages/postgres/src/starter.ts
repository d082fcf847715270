import { spawn, type ChildProcess } from 'node:child_process';
import type { Socket } from 'node:net';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { childEnvironment } from './child-outcome.ts';
import type { ProgramEnd, StarterAnswer, StarterOrder, StopSignal } from './starter-protocol.ts';

/** A program that runs as a child of the starter. */
export interface StartedBy {
  readonly stdout: Socket;
  readonly stderr: Socket;
  /** `undefined`: the starter is gone, and nobody knows. */
  readonly ended: Promise<ProgramEnd | undefined>;
  kill(signal: StopSignal): void;
}

interface Running {
  readonly settle: (end: ProgramEnd | undefined) => void;
  pid?: number;
}

/** How many programs one starter starts: each takes two pipes, which only the start of the starter can give it. */
const programs = 32;
const firstPipe = 4;

/**
 * A small process that starts programs for this one. To start a program, Node calls fork(2), which copies the page tables of the whole process and makes each page that is
 * then written to a fault: with 200 MB that is 15 ms in which nothing else happens and up to 50,000 faults for each program (docs/decisions/0010).
 */
export class Starter {
  readonly #process: ChildProcess;
  readonly #running = new Map<number, Running>();
  readonly #onReady: (starter: Starter) => void;
  #started = 0;
  #state: 'beginning' | 'ready' | 'gone' = 'beginning';
  /** Whether it ended although it was not told to. */
  failed = false;

  /** @param onReady told once, when it can start programs */
  constructor(onReady: (starter: Starter) => void) {
    this.#onReady = onReady;
    const script = fileURLToPath(new URL(`./starter-process${extname(import.meta.url)}`, import.meta.url));
    const pipes = Array.from({ length: 2 * programs }, () => 'pipe' as const);
    this.#process = spawn(process.execPath, [script], {
      env: childEnvironment(false),
      stdio: ['ignore', 'ignore', 'inherit', 'ipc', ...pipes],
    });
    this.#process.on('message', (answer: StarterAnswer) => this.#hear(answer));
    this.#process.once('error', () => this.#lose());
    this.#process.once('exit', () => this.#lose());
    for (let pipe = firstPipe; pipe < firstPipe + pipes.length; pipe += 1) {
      // A starter that is gone breaks them all; those in use tell their readers.
      this.#pipe(pipe)
        ?.on('error', () => undefined)
        .unref();
    }
    this.#process.unref();
    this.#process.channel?.unref();
  }

  /** Whether it can start one more. */
  get usable(): boolean {
    return this.#state === 'ready' && this.#started < programs;
  }

  /** Whether it will never start one again. */
  get spent(): boolean {
    return this.#state === 'gone' || this.#started === programs;
  }

  get idle(): boolean {
    return this.#running.size === 0;
  }

  /** To be called only while it is {@link usable}. */
  start(file: string, argv: readonly string[], env: Readonly<Record<string, string>>): StartedBy {
    const id = this.#started;
    this.#started += 1;
    const fd = firstPipe + 2 * id;
    const [stdout, stderr] = [this.#pipe(fd), this.#pipe(fd + 1)] as [Socket, Socket];
    stdout.ref();
    stderr.ref();
    this.#process.channel?.ref();
    const ended = new Promise<ProgramEnd | undefined>((settle) => this.#running.set(id, { settle }));
    this.#tell({ do: 'start', id, file, argv, env, stdout: fd, stderr: fd + 1 });
    return { stdout, stderr, ended, kill: (signal) => this.#tell({ do: 'kill', id, signal }) };
  }

  /** Lets it end. It is gone a moment later, and nothing keeps this process from ending before. */
  end(): void {
    this.#state = 'gone';
    if (this.#process.connected) this.#process.disconnect();
  }

  #pipe(fd: number): Socket | undefined {
    return (this.#process.stdio as readonly unknown[])[fd] as Socket | undefined;
  }

  #tell(order: StarterOrder): void {
    // What cannot be told is settled by its end.
    if (this.#process.connected) this.#process.send(order, () => undefined);
  }

  #hear(answer: StarterAnswer): void {
    if (answer.is === 'ready') {
      if (this.#state !== 'beginning') return;
      this.#state = 'ready';
      this.#onReady(this);
      return;
    }
    const running = this.#running.get(answer.id);
    if (!running) return;
    if (answer.is === 'started') {
      running.pid = answer.pid;
      return;
    }
    this.#running.delete(answer.id);
    if (this.idle) this.#process.channel?.unref();
    running.settle(answer);
  }

  #lose(): void {
    this.failed ||= this.#state !== 'gone';
    this.#state = 'gone';
    for (const { pid, settle } of this.#running.values()) {
      if (pid !== undefined) endOrphan(pid);
      settle(undefined);
    }
    this.#running.clear();
  }
}

/** It lost its parent a moment ago, so the number is still its own. */
function endOrphan(pid: number): void {
  try {
    process.kill(pid, 'SIGTERM');
  } catch {
    // It is gone.
  }
}
