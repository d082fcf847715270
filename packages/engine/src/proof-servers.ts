import { PgsiloError, toPgsiloError } from '@pgsilo/plugin';
import type { BackupView, ScratchServer } from '@pgsilo/plugin';
import type { EngineSession } from './session.ts';

/** The servers in which backups are proved: one for all of a version, and others for units that take one for themselves. */
export class ProofServers {
  readonly #session: EngineSession;
  readonly #shared = new Map<string, Promise<ScratchServer>>();
  readonly #open = new Set<ScratchServer>();

  constructor(session: EngineSession) {
    this.#session = session;
  }

  /** The one that backups of a server's version share; started at the first call. */
  shared({ facts }: BackupView): Promise<ScratchServer> {
    const { version } = facts.server;
    const key = this.#session.pipeline.scratchServer?.connection ? '' : version;
    let server = this.#shared.get(key);
    if (!server) this.#shared.set(key, (server = this.#start(version)));
    return server;
  }

  /** One for this backup alone. To be given back to {@link end}. */
  alone({ facts }: BackupView): Promise<ScratchServer> {
    return this.#start(facts.server.version);
  }

  async end(server: ScratchServer): Promise<void> {
    if (!this.#open.delete(server)) return;
    try {
      await server.close();
    } catch (error) {
      this.#session.pipeline.log.warn('what backups were proved in was not removed, or not all of it', {
        error: toPgsiloError(error).message,
      });
    }
  }

  async endAll(): Promise<void> {
    await Promise.allSettled(this.#shared.values());
    await Promise.all([...this.#open].map((server) => this.end(server)));
  }

  async #start(serverVersion: string): Promise<ScratchServer> {
    const { source, scratch: folder, scratchServer = {} } = this.#session.pipeline;
    const { connection, user } = scratchServer;
    if (!source.source.scratch)
      throw new PgsiloError(
        'usage.invalid',
        `the source ${source.use} has no way to prove a backup by restoring it`,
        {
          hint: 'Use --level decode.',
        },
      );
    const request = {
      serverVersion,
      folder,
      ...(connection === undefined ? {} : { connection: connection.reveal() }),
      ...(user === undefined ? {} : { user }),
    };
    const server = await source.source.scratch(request, this.#session.context());
    this.#open.add(server);
    return server;
  }
}
