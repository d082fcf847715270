import { PgsiloError } from '@pgsilo/plugin';
import { joinSnapshot, openSession, takeSnapshot, type Session, type Snapshot } from '@pgsilo/postgres';
import { databaseOf, type SourceSetup } from './setup.ts';

interface Held {
  readonly session: Session;
  readonly snapshot: Snapshot;
}

/** A job's part in it. */
export interface Share {
  readonly snapshot: Snapshot;
  /** The job has ended well: what others read from now on must be of the same moment. */
  keep(): void;
  /** The job has ended, well or not. */
  leave(): void;
}

/**
 * The one moment that the jobs of a run see, held by a session of its own from the first job on until the source is closed.
 * It holds no locks: a table that is emptied before its own job has locked it fails that job, see `requireUntouched`.
 */
export class SharedSnapshot {
  readonly #setup: SourceSetup;
  #held: Promise<Held> | undefined;
  #jobs = 0;
  #kept = false;

  constructor(setup: SourceSetup) {
    this.#setup = setup;
  }

  /** Opens a transaction of `session` that sees it. Throws `source.incomplete` when it is lost, and something was read of it that a later moment would not fit to. */
  async join(session: Session): Promise<Share> {
    const { snapshot } = await this.#hold();
    this.#jobs += 1;
    let left = false;
    const leave = (): void => {
      if (!left) this.#jobs -= 1;
      left = true;
    };
    try {
      await joinSnapshot(session, snapshot);
    } catch (error) {
      leave();
      throw error;
    }
    return { snapshot, keep: () => void (this.#kept = true), leave };
  }

  async close(): Promise<void> {
    const held = await this.#held?.catch(() => undefined);
    this.#held = undefined;
    await held?.session.close();
  }

  /** Those that come at the same time wait for the same one. */
  async #hold(): Promise<Held> {
    const pending = (this.#held ??= this.#take());
    const held = await pending;
    if (!held.session.lost.aborted) return held;
    if (this.#kept || this.#jobs > 0)
      throw new PgsiloError(
        'source.incomplete',
        'the server session that kept the moment of this run was lost: what has not been read yet cannot be of the same moment',
        { hint: 'Run the backup again, with --only for what failed.' },
      );
    if (this.#held === pending) this.#held = this.#take();
    return await this.#held!;
  }

  async #take(): Promise<Held> {
    try {
      const session = await openSession(this.#setup.settings, {
        database: databaseOf(this.#setup),
        applicationName: 'pgsilo snapshot',
        purpose: 'keep one moment for all jobs',
      });
      try {
        return { session, snapshot: await takeSnapshot(session) };
      } catch (error) {
        await session.close();
        throw error;
      }
    } catch (error) {
      this.#held = undefined;
      throw error;
    }
  }
}
