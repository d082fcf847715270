import { PgsiloError, toPgsiloError } from '@pgsilo/plugin';
import { findBackup } from './find-backup.ts';
import { addNote } from './note-store.ts';
import type { Note } from './notes.ts';
import type { Pipeline } from './pipeline.ts';
import type { RunUnit } from './run-records.ts';
import { withSession } from './session.ts';
import type { EngineSession } from './session.ts';

export interface PinRequest {
  readonly reason: string;
  readonly until?: Date;
}

/** Pins what a run stored. @returns a warning for each pin that could not be written. */
export async function pinStored(
  session: EngineSession,
  lines: readonly RunUnit[],
  pin: PinRequest,
): Promise<readonly string[]> {
  const warnings: string[] = [];
  const at = session.pipeline.clock.now().toISOString();
  for (const line of lines) {
    for (const { sink: name } of line.sinks.filter(({ status }) => status === 'stored')) {
      const sink = session.pipeline.sinks.find((candidate) => candidate.name === name);
      if (!sink || line.backup === undefined) continue;
      try {
        await addNote(session, sink, note('pinned', line.unit, line.backup, at, pin));
      } catch (error) {
        warnings.push(
          `${line.unit} ${line.backup} is not pinned in sink ${name}: ${toPgsiloError(error).message}`,
        );
      }
    }
  }
  return warnings;
}

/** Holds a backup in every sink that has it, until a time or until it is unpinned. */
export function pinBackup(
  pipeline: Pipeline,
  unit: string,
  backup: string,
  pin: PinRequest & { readonly signal: AbortSignal },
): Promise<readonly string[]> {
  return noteEverywhere(pipeline, unit, backup, 'pinned', pin);
}

/** Ends a pin in every sink that has the backup. */
export function unpinBackup(
  pipeline: Pipeline,
  unit: string,
  backup: string,
  options: { readonly signal: AbortSignal },
): Promise<readonly string[]> {
  return noteEverywhere(pipeline, unit, backup, 'unpinned', options);
}

async function noteEverywhere(
  pipeline: Pipeline,
  unit: string,
  backup: string,
  kind: 'pinned' | 'unpinned',
  options: Partial<PinRequest> & { readonly signal: AbortSignal },
): Promise<readonly string[]> {
  const entry = await findBackup(pipeline, unit, { backup, signal: options.signal });
  return withSession(pipeline, options.signal, async (session) => {
    const at = pipeline.clock.now().toISOString();
    for (const name of entry.sinks) {
      const sink = pipeline.sinks.find((candidate) => candidate.name === name);
      if (!sink)
        throw new PgsiloError('internal', `the catalog names a sink ${name} that the pipeline has not`);
      await addNote(session, sink, note(kind, unit, backup, at, options));
    }
    return entry.sinks;
  });
}

function note(
  kind: 'pinned' | 'unpinned',
  unit: string,
  backup: string,
  at: string,
  pin: Partial<PinRequest>,
): Note {
  return {
    kind,
    unit,
    backup,
    at,
    ...(pin.reason === undefined ? {} : { reason: pin.reason }),
    ...(pin.until === undefined ? {} : { until: pin.until.toISOString() }),
  };
}
