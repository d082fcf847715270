import type { OnResultRow } from './replication.ts';

/** What pg's connection has and its types do not say. */
interface Wire {
  readonly stream: { pause(): void; resume(): void };
  query(text: string): void;
}

/** Bytes that may wait for a reader before the server is made to wait. */
const mostWaiting = 1024 * 1024;

/** One command of the simple query protocol whose answer is rows and a copy stream, as pg's client takes it for a query of its own. */
export class StreamedCommand {
  readonly #text: string;
  readonly #onRow: OnResultRow;
  #wire: Wire | undefined;
  #waiting: Uint8Array[] = [];
  #bytes = 0;
  #outcome: { readonly error?: unknown } | undefined;
  #wake = (): void => undefined;
  #result = -1;
  #columns: readonly string[] = [];

  constructor(text: string, onRow: OnResultRow) {
    this.#text = text;
    this.#onRow = onRow;
  }

  /** The messages of the copy stream; ends, or throws what the server said, when the command has ended. */
  async *batches(): AsyncGenerator<readonly Uint8Array[], void> {
    try {
      for (;;) {
        if (this.#waiting.length > 0) {
          const batch = this.#waiting;
          this.#waiting = [];
          this.#bytes = 0;
          this.#wire?.stream.resume();
          yield batch;
        } else if (this.#outcome) {
          if ('error' in this.#outcome) throw this.#outcome.error;
          return;
        } else
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
      }
    } finally {
      // Closing takes reading what the server still sends.
      this.#wire?.stream.resume();
    }
  }

  submit(connection: unknown): void {
    this.#wire = connection as Wire;
    this.#wire.query(this.#text);
  }

  handleRowDescription(message: { readonly fields: readonly { readonly name: string }[] }): void {
    this.#result += 1;
    this.#columns = message.fields.map(({ name }) => name);
  }

  handleDataRow(message: { readonly fields: readonly (string | null)[] }): void {
    const row = Object.fromEntries(this.#columns.map((name, at) => [name, message.fields[at] ?? null]));
    this.#onRow(this.#result, row);
  }

  handleCopyData(message: { readonly chunk: Uint8Array }): void {
    // A view of a buffer that pg uses again.
    this.#waiting.push(Buffer.from(message.chunk));
    this.#bytes += message.chunk.byteLength;
    if (this.#bytes > mostWaiting) this.#wire?.stream.pause();
    this.#wake();
  }

  handleError(error: unknown): void {
    this.#outcome ??= { error };
    this.#wake();
  }

  handleReadyForQuery(): void {
    this.#outcome ??= {};
    this.#wake();
  }

  handleCommandComplete(): void {}
  handleEmptyQuery(): void {}
  handlePortalSuspended(): void {}
}
