import { once } from 'node:events';

/** Standard output: results only. A reader that goes away (`| head`) is no error; what is written after that is dropped. */
export class Output {
  readonly #stream: NodeJS.WriteStream;
  readonly #gone = new AbortController();
  /** Whether anything was written: with --json, one document is all that may be. */
  used = false;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
    stream.on('error', (error: NodeJS.ErrnoException) => {
      this.#gone.abort(error);
      if (error.code !== 'EPIPE') process.stderr.write(`pgsilo: standard output: ${error.message}\n`);
    });
  }

  /** Columns of the terminal; undefined when it is none. */
  get width(): number | undefined {
    return this.#stream.isTTY ? this.#stream.columns : undefined;
  }

  /** Aborted when nobody reads any more. Work whose only result is output may stop; a backup goes on. */
  get readerGone(): AbortSignal {
    return this.#gone.signal;
  }

  /** Writes finished text. Resolves when more may be written, so that a slow reader slows the writer instead of filling memory. */
  async write(text: string): Promise<void> {
    if (this.#gone.signal.aborted) return;
    this.used = true;
    if (this.#stream.write(text)) return;
    await once(this.#stream, 'drain', { signal: this.#gone.signal }).catch(() => undefined);
  }

  /** Writes the one document of --json. */
  async json(document: unknown): Promise<void> {
    await this.write(`${jsonText(document)}\n`);
  }

  /** True when all that was written has been handed to the system. */
  get flushed(): boolean {
    return this.#gone.signal.aborted || this.#stream.writableLength === 0;
  }
}

/** Indented JSON; durations lose the noise behind their milliseconds. */
export function jsonText(document: unknown): string {
  const round = (key: string, value: unknown): unknown =>
    key === 'seconds' && typeof value === 'number' ? Math.round(value * 1000) / 1000 : value;
  return JSON.stringify(document, round, 2);
}
