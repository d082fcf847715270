import { PgsiloError } from '@pgsilo/plugin';
import type { ArchiveCommand, ArchiverSetting } from '@pgsilo/plugin';
import type { Pipeline } from '../pipeline.ts';
import { withSession } from '../session.ts';

export interface WalSetup {
  readonly settings: readonly ArchiverSetting[];
  /** Another way to archive that the server has been told of. */
  readonly foreign?: { readonly name: string; readonly value: string };
  /** Undefined: nothing was changed. Names of the settings that take effect at the next start of the server. */
  readonly applied?: { readonly restart: readonly string[] };
}

export interface WalSetupOptions {
  readonly command: ArchiveCommand;
  readonly apply: boolean;
  /** Replace another way to archive. */
  readonly force: boolean;
  readonly signal: AbortSignal;
}

/** What it takes for the server to archive into the pipeline; does it where that is asked. Throws `usage.invalid`, with nothing changed, where the server archives in another way. */
export function setUpWal(pipeline: Pipeline, options: WalSetupOptions): Promise<WalSetup> {
  const { command, apply, force, signal } = options;
  return withSession(pipeline, signal, async (session) => {
    const { use, source } = pipeline.source;
    if (!source.archiver)
      throw new PgsiloError('usage.invalid', `${use} backs up no files, and keeps no write-ahead log`, {
        hint: 'It belongs to a pipeline whose source is basebackup.',
      });
    const setup = await source.archiver.setup(command, session.context());
    const { settings, foreign } = setup;
    const found = { settings, ...(foreign ? { foreign } : {}) };
    if (!apply) return found;
    if (foreign && !force)
      throw new PgsiloError(
        'usage.invalid',
        `the server archives in another way already: ${foreign.name} is ${JSON.stringify(foreign.value)}; nothing was changed`,
        {
          hint: 'With --force it is replaced. What it has archived so far stays where it is, and is no part of this pipeline: make a base backup afterwards.',
        },
      );
    return { ...found, applied: { restart: await setup.apply() } };
  });
}
