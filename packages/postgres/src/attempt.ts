import { PgsiloError, throwIfAborted, type Body, type ReadContext, type SourceItem } from '@pgsilo/plugin';
import type { ServerSettings } from './connection.ts';
import { openSession, terminateSessions, type Session } from './session.ts';

/** Begins the application_name of every session of a backup; the job's label follows. */
const applicationPrefix = 'pgsilo ';

/** One attempt of a job: its sessions, and what is needed to end everything that it started, wherever that runs. */
export class Attempt {
  readonly applicationName: string;
  /** For client programs: aborted with the job's, or when the attempt is given up. */
  readonly signal: AbortSignal;
  readonly #settings: ServerSettings;
  readonly #context: ReadContext;
  readonly #sessions: Session[] = [];
  readonly #given = new AbortController();
  /** The body of a child that may still run; undefined: its end was read. */
  #running: AsyncIterator<Uint8Array> | undefined;

  constructor(settings: ServerSettings, context: ReadContext) {
    this.#settings = settings;
    this.#context = context;
    this.applicationName = applicationPrefix + context.label;
    this.signal = AbortSignal.any([context.signal, this.#given.signal]);
  }

  async open(database: string, purpose: string): Promise<Session> {
    const { signal } = this.#context;
    const session = await openSession(this.#settings, {
      database,
      applicationName: this.applicationName,
      purpose,
      signal,
    });
    this.#sessions.push(session);
    return session;
  }

  /** The same body, of a child with a server session of its own; remembers whether it was read to its end. */
  watch(body: Body): Body {
    const iterator = body[Symbol.asyncIterator]();
    this.#running = iterator;
    return {
      [Symbol.asyncIterator]: () => ({
        next: async () => {
          const result = await iterator.next();
          // The end of a body that was given up looks like that of a whole one.
          throwIfAborted(this.#given.signal);
          if (result.done) this.#running = undefined;
          return result;
        },
        return: async () => (await iterator.return?.()) ?? { done: true, value: undefined },
      }),
    };
  }

  /** Throws when the last watched body was not read to its end: nothing is known then of how its child ended. */
  requireRead(artifact: string): void {
    throwIfAborted(this.#given.signal);
    if (!this.#running) return;
    throw new PgsiloError(
      'internal',
      `${artifact} was not read to its end before the next item was asked for`,
    );
  }

  /** The job went well: closes the sessions. */
  async finish(): Promise<void> {
    for (const session of this.#sessions.splice(0)) await session.close();
  }

  /** Ends whatever is left: our sessions, and those of client programs that nobody may be able to kill from here. Never throws. */
  async abandon(): Promise<void> {
    const sessions = this.#sessions.splice(0);
    const running = this.#running;
    this.#running = undefined;
    this.#given.abort(new PgsiloError('aborted', 'the backup was given up'));
    const ended = running?.return?.().catch(() => undefined);
    await Promise.all([
      ...sessions.map((session) => session.close()),
      running && this.#endFarSessions(),
      ended,
    ]);
  }

  async #endFarSessions(): Promise<void> {
    try {
      const count = await terminateSessions(this.#settings, this.applicationName);
      if (count > 0)
        this.#context.log.info(`ended ${count} server sessions of an unfinished backup`, {
          applicationName: this.applicationName,
        });
    } catch (error) {
      this.#context.log.warn(
        `sessions of an unfinished backup may still run on the server: ${(error as Error).message}`,
        {
          applicationName: this.applicationName,
        },
      );
    }
  }
}

/**
 * Reads in an attempt of its own, which is finished when all went well and abandoned otherwise.
 * @param open where it stands meanwhile, so that it can be ended with the source.
 */
export async function* readInAttempt(
  settings: ServerSettings,
  open: Set<Attempt>,
  context: ReadContext,
  read: (attempt: Attempt) => AsyncIterable<SourceItem>,
): AsyncGenerator<SourceItem> {
  const attempt = new Attempt(settings, context);
  open.add(attempt);
  try {
    yield* read(attempt);
    await attempt.finish();
  } finally {
    await attempt.abandon();
    open.delete(attempt);
  }
}
