import type { createLogUpdate } from 'log-update';

/** The part of a terminal's stream that is used here. */
export interface TerminalStream extends NodeJS.WritableStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

/** Draws the lines of a live region; asked for at each redraw. */
export type Drawing = (size: { readonly columns: number; readonly rows: number }) => readonly string[];

const redrawEvery = 125;

/**
 * Standard error, shared by logs, finished lines and one live region at the bottom. Whole lines only: what is printed while a region is live scrolls above it.
 */
export class Screen {
  readonly #stream: TerminalStream;
  #live: ReturnType<typeof createLogUpdate> | undefined;
  #drawing: Drawing | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Lines that wait for the next redraw: a thousand finished units a second are no thousand redraws. */
  #finished: string[] = [];

  constructor(stream: TerminalStream) {
    this.#stream = stream;
  }

  /** Columns of the terminal; undefined when it is none. */
  get width(): number | undefined {
    return this.#stream.isTTY ? (this.#stream.columns ?? 80) : undefined;
  }

  print(line: string): void {
    if (this.#live) this.#finished.push(line);
    else this.#stream.write(`${line}\n`);
  }

  /** Keeps `drawing` at the bottom of the terminal until {@link stop}; at most 8 redraws a second, and none that changes nothing. */
  async show(drawing: Drawing): Promise<void> {
    const { createLogUpdate } = await import('log-update');
    this.stop();
    this.#live = createLogUpdate(this.#stream);
    this.#drawing = drawing;
    this.#timer = setInterval(() => this.#draw(), redrawEvery);
    this.#timer.unref();
    this.#draw();
  }

  /** Removes the live region and shows the cursor again. */
  stop(): void {
    clearInterval(this.#timer);
    this.#flush();
    this.#live?.clear();
    this.#live?.done();
    this.#live = undefined;
    this.#drawing = undefined;
  }

  #flush(): void {
    if (this.#finished.length === 0) return;
    this.#live?.persist(this.#finished.join('\n'));
    this.#finished = [];
  }

  #draw(): void {
    this.#flush();
    const size = { columns: this.#stream.columns ?? 80, rows: this.#stream.rows ?? 24 };
    // One column stays free: a full line makes some terminals wrap.
    const lines = this.#drawing?.({ columns: size.columns - 1, rows: size.rows }) ?? [];
    this.#live?.(lines.join('\n'));
  }
}
