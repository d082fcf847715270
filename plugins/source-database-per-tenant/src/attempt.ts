import { PgsiloError, type Body, type ReadContext } from '@pgsilo/plugin';
import { openSession, terminateSessions, type Session } from '@pgsilo/postgres';
import type { SourceSetup } from './setup.ts';

/** Begins the application_name of every session of a backup; the job's label follows. */
export const applicationPrefix = 'pgsilo ';

/** One attempt of a job: its sessions, and what is needed to end everything that it started, wherever that runs. */
export class Attempt {
  readonly applicationName: string;
  readonly #setup: SourceSetup;
  readonly #context: ReadContext;
  readonly #sessions: Session[] = [];
  #unread: string | undefined;
  #childMayRun = false;

  constructor(setup: SourceSetup, context: ReadContext) {
    this.#setup = setup;
    this.#context = context;
    this.applicationName = applicationPrefix + context.label;
  }

  async open(database: string, purpose: string): Promise<Session> {
    const { signal } = this.#context;
    const session = await openSession(this.#setup.settings, {
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
    const ended = (): void => {
      this.#unread = undefined;
      this.#childMayRun = false;
    };
    this.#unread = 'an artifact';
    this.#childMayRun = true;
    const iterator = body[Symbol.asyncIterator]();
    return {
      [Symbol.asyncIterator]: () => ({
        next: async () => {
          const result = await iterator.next();
          if (result.done) ended();
          return result;
        },
        return: async () => (await iterator.return?.()) ?? { done: true, value: undefined },
      }),
    };
  }

  /** Throws when the last watched body was not read to its end: nothing is known then of how its child ended. */
  requireRead(artifact: string): void {
    if (this.#unread === undefined) return;
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
    await Promise.all(sessions.map((session) => session.close()));
    if (!this.#childMayRun) return;
    this.#childMayRun = false;
    try {
      const count = await terminateSessions(this.#setup.settings, this.applicationName);
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
