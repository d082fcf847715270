import type pg from 'pg';
import { abortReason, toPgsiloError } from '@pgsilo/plugin';
import { translatePostgresError } from './postgres-error.ts';
import type { Session } from './session.ts';

/** What pg's connection has and its types do not say. */
interface Wire {
  readonly stream: {
    write(bytes: Uint8Array): boolean;
    once(event: 'drain', listener: () => void): void;
    off(event: 'drain', listener: () => void): void;
    pause(): void;
    resume(): void;
  };
  endCopyFrom(): void;
  sendCopyFail(message: string): void;
}

/**
 * Runs one or more statements given as bytes in the session's `client_encoding`, as one message: what is in a script stays what it is, whatever its encoding.
 * Nothing in them is a command for this program, as it would be for psql. Rows that they return are dropped. Throws like `Session.query`.
 */
export function runBytes(
  session: Session,
  sql: Uint8Array,
  doing: string,
  signal?: AbortSignal,
): Promise<void> {
  return submit(session, new RawQuery(sql), doing, signal);
}

/**
 * Runs `COPY … FROM STDIN` with a body. When the body throws, the server is told to fail the command, and its error is thrown here.
 * Throws like `Session.query`.
 */
export function copyIn(
  session: Session,
  sql: string,
  body: AsyncIterable<Uint8Array>,
  doing: string,
  signal?: AbortSignal,
): Promise<void> {
  return submit(session, new RawQuery(Buffer.from(sql), body), doing, signal);
}

/** Runs `COPY … TO STDOUT` and yields what it says, at the pace of whoever reads; who stops early ends the session with it. Throws like `Session.query`. */
export async function* copyOut(
  session: Session,
  sql: string,
  doing: string,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  let ended = false;
  let wake = (): void => undefined;
  const query = new RawQuery(Buffer.from(sql));
  const wire = (session.client as unknown as { connection: Wire }).connection;
  query.onCopyData = (piece) => {
    pieces.push(piece);
    bytes += piece.byteLength;
    if (bytes > mostWaiting) wire.stream.pause();
    wake();
  };
  const outcome = submit(session, query, doing, signal).finally(() => {
    ended = true;
    wake();
  });
  outcome.catch(() => undefined);
  try {
    while (!ended || pieces.length > 0) {
      if (pieces.length > 0) {
        const all = Buffer.concat(pieces.splice(0));
        bytes = 0;
        yield all;
        wire.stream.resume();
      } else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
    await outcome;
  } finally {
    wire.stream.resume();
    if (!ended) await session.close();
  }
}

/** Bytes that may wait for a reader before the server is made to wait. */
const mostWaiting = 1024 * 1024;

async function submit(
  session: Session,
  query: RawQuery,
  doing: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  session.client.query(query as unknown as pg.Submittable);
  try {
    await query.done;
  } catch (error) {
    if (signal?.aborted) throw abortReason(signal);
    throw query.bodyError === undefined
      ? translatePostgresError(error, doing)
      : toPgsiloError(query.bodyError, 'restore.failed');
  }
}

/** One message of the simple query protocol, as pg's client takes it for a query of its own. */
class RawQuery {
  readonly done: Promise<void>;
  bodyError: unknown;
  onCopyData: ((piece: Uint8Array) => void) | undefined;
  readonly #sql: Uint8Array;
  readonly #body: AsyncIterable<Uint8Array> | undefined;
  readonly #failed: AbortController = new AbortController();
  #pumping: Promise<void> | undefined;
  #resolve!: () => void;
  #reject!: (error: unknown) => void;

  constructor(sql: Uint8Array, body?: AsyncIterable<Uint8Array>) {
    this.#sql = sql;
    this.#body = body;
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  submit(connection: unknown): void {
    const wire = connection as Wire;
    wire.stream.write(message('Q', this.#sql.byteLength + 1));
    wire.stream.write(this.#sql);
    wire.stream.write(Buffer.alloc(1));
  }

  handleCopyInResponse(connection: unknown): void {
    const wire = connection as Wire;
    if (this.#body) this.#pumping = this.#pump(wire, this.#body);
    else wire.sendCopyFail('no rows were to be copied');
  }

  /** Sends the body at the server's pace; ends early when the server has failed the command. */
  async #pump(wire: Wire, body: AsyncIterable<Uint8Array>): Promise<void> {
    try {
      for await (const chunk of body) {
        if (this.#failed.signal.aborted) return;
        wire.stream.write(message('d', chunk.byteLength));
        if (!wire.stream.write(chunk)) await this.#drained(wire);
      }
      if (!this.#failed.signal.aborted) wire.endCopyFrom();
    } catch (error) {
      this.bodyError = error;
      if (!this.#failed.signal.aborted) wire.sendCopyFail('the rows could not be read');
    }
  }

  #drained(wire: Wire): Promise<void> {
    return new Promise((resolve) => {
      const go = (): void => {
        wire.stream.off('drain', go);
        this.#failed.signal.removeEventListener('abort', go);
        resolve();
      };
      wire.stream.once('drain', go);
      this.#failed.signal.addEventListener('abort', go, { once: true });
      if (this.#failed.signal.aborted) go();
    });
  }

  handleError(error: unknown): void {
    this.#failed.abort();
    void this.#fail(error);
  }

  /** The body is let go of before anybody hears of it. */
  async #fail(error: unknown): Promise<void> {
    await this.#pumping;
    this.#reject(error);
  }

  handleReadyForQuery(): void {
    if (!this.#failed.signal.aborted) this.#resolve();
  }

  handleRowDescription(): void {}
  handleDataRow(): void {}
  handleCommandComplete(): void {}
  handleEmptyQuery(): void {}
  handlePortalSuspended(): void {}
  handleCopyData(message: unknown): void {
    // A view of a buffer that pg uses again.
    this.onCopyData?.(Uint8Array.from((message as { readonly chunk: Uint8Array }).chunk));
  }
}

function message(type: string, length: number): Buffer {
  const head = Buffer.alloc(5, type, 'latin1');
  head.writeUInt32BE(length + 4, 1);
  return head;
}
