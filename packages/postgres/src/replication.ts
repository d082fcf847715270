import type pg from 'pg';
import { abortReason, throwIfAborted } from '@pgsilo/plugin';
import { connectClient } from './connect.ts';
import { describeServer, passwordOf, type ServerSettings } from './connection.ts';
import { translatePostgresError } from './postgres-error.ts';
import { showName } from './quoting.ts';
import { StreamedCommand } from './streamed-command.ts';

/** The keyword in the place of a database in pg_hba.conf and password files; physical replication is of the whole server. */
const replicationDatabase = 'replication';
const closeTimeout = 2000;

export interface ReplicationOptions {
  readonly applicationName: string;
  /** What the session is for, as an infinitive for messages: `copy the cluster`. */
  readonly purpose: string;
  readonly signal: AbortSignal;
}

/** Called for each row of a command's results; `result` counts them from 0, values are as text. */
export type OnResultRow = (result: number, row: Readonly<Record<string, string | null>>) => void;

/** A session of the physical replication protocol: it knows the commands of "Streaming Replication Protocol" in PostgreSQL's manual, and no SQL. */
export interface ReplicationSession {
  /**
   * Runs one command and yields what comes on its copy stream, several messages at a time, at the pace of whoever reads. The end comes when the server has said that the command is done; throws `PgsiloError`s otherwise.
   * Who stops early ends the session with it.
   * @param onNotice called with each warning of the server.
   */
  stream(
    command: string,
    onRow: OnResultRow,
    onNotice?: (message: string) => void,
  ): AsyncGenerator<readonly Uint8Array[], void>;
  /** Ends the session; never throws. */
  close(): Promise<void>;
}

/**
 * Connects for replication, which takes a role with REPLICATION and a line for `replication` in pg_hba.conf.
 * @param settings those of a session that answered: `target_session_attrs` cannot be asked for here.
 */
export async function openReplication(
  settings: ServerSettings,
  { applicationName, purpose, signal }: ReplicationOptions,
): Promise<ReplicationSession> {
  throwIfAborted(signal);
  const { target_session_attrs: _, ...parameters } = settings.parameters;
  const address = settings.addresses[0]!;
  const password =
    passwordOf(settings, address, replicationDatabase) ?? passwordOf(settings, address, settings.database);
  const own: ServerSettings = {
    ...settings,
    parameters,
    database: replicationDatabase,
    ...(password === undefined ? {} : { password }),
  };
  const doing = `cannot ${purpose} (replication from ${describeServer(own)} as ${showName(own.user)})`;
  try {
    const { client } = await connectClient(own, applicationName, signal, true);
    return new OpenReplication(client, doing, signal);
  } catch (error) {
    if (signal.aborted) throw abortReason(signal);
    throw translatePostgresError(error, doing);
  }
}

class OpenReplication implements ReplicationSession {
  readonly #client: pg.Client;
  readonly #doing: string;
  readonly #signal: AbortSignal;
  #closed = false;

  constructor(client: pg.Client, doing: string, signal: AbortSignal) {
    this.#client = client;
    this.#doing = doing;
    this.#signal = signal;
    // The command that runs hears of it too; without a listener an error between two would end the process.
    client.on('error', () => undefined);
    signal.addEventListener('abort', this.#destroy, { once: true });
    if (signal.aborted) this.#destroy();
  }

  async *stream(
    command: string,
    onRow: OnResultRow,
    onNotice: (message: string) => void = () => undefined,
  ): AsyncGenerator<readonly Uint8Array[], void> {
    throwIfAborted(this.#signal);
    const running = new StreamedCommand(command, onRow);
    const notice = (message: { readonly message?: string | undefined }): void =>
      onNotice(message.message ?? '');
    this.#client.on('notice', notice);
    let whole = false;
    try {
      this.#client.query(running as unknown as pg.Submittable);
      yield* running.batches();
      whole = true;
    } catch (error) {
      throw this.#signal.aborted ? abortReason(this.#signal) : translatePostgresError(error, this.#doing);
    } finally {
      this.#client.off('notice', notice);
      // The server would go on sending, and closing in good order would take reading all of it.
      if (!whole) this.#destroy();
    }
  }

  #destroy = (): void => {
    (this.#client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
  };

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#signal.removeEventListener('abort', this.#destroy);
    const timer = setTimeout(this.#destroy, closeTimeout);
    try {
      await this.#client.end();
    } catch {
      this.#destroy();
    } finally {
      clearTimeout(timer);
    }
  }
}
