import { PgsiloError, throwIfAborted, toPgsiloError } from '@pgsilo/plugin';
import type { UnitKeys } from '@pgsilo/plugin';
import { listBackups } from './catalog.ts';
import { lookingEverywhere } from './holdings.ts';
import { encodeUnit } from './keys.ts';
import type { Manifest } from './manifest.ts';
import { addNote } from './note-store.ts';
import type { Pipeline } from './pipeline.ts';
import { withSession } from './session.ts';

/** A backup that can be read with one of the unit's keys and in no other way. */
export interface LockedBackup {
  readonly pipeline: string;
  readonly backup: string;
  readonly sinks: readonly string[];
}

/** What destroying a unit's keys makes unreadable of a pipeline's backups, and where else to look. */
export interface ErasurePlan {
  readonly unit: string;
  /** Newest first. */
  readonly locked: readonly LockedBackup[];
  /** `<unit key>/<backup>` of those. */
  readonly lockedNames: ReadonlySet<string>;
  /** Databases that the unit was read from. */
  readonly databases: readonly string[];
}

/**
 * Sorts a pipeline's backups of a unit into those that its keys alone can open and the others. The keys may be those of another pipeline, with which it shares a keyring. Throws `usage.invalid` for a unit without keys, and what a sink throws that cannot be read.
 */
export async function planErasure(
  pipeline: Pipeline,
  keys: UnitKeys,
  unit: string,
  signal: AbortSignal,
): Promise<ErasurePlan> {
  const fingerprints = new Set((await keys.list([unit])).map(({ fingerprint }) => fingerprint));
  if (fingerprints.size === 0)
    throw new PgsiloError('usage.invalid', `the unit ${JSON.stringify(unit)} has no keys`, {
      hint: '`pgsilo keys list FILE` shows those that have.',
    });
  const locked: LockedBackup[] = [];
  const databases = new Set<string>();
  await lookingEverywhere(async () => {
    for await (const { manifest, backup, sinks } of listBackups(pipeline, { unit, signal })) {
      const database = manifest?.unit.origin['database'];
      if (typeof database === 'string') databases.add(database);
      if (manifest && isLocked(manifest, keys, fingerprints))
        locked.push({ pipeline: pipeline.name, backup, sinks });
    }
  });
  const unitKey = encodeUnit(unit);
  const lockedNames = new Set(locked.map(({ backup }) => `${unitKey}/${backup}`));
  return { unit, locked, lockedNames, databases: [...databases] };
}

/** Whether each of its artifacts needs one of these keys. */
function isLocked({ artifacts }: Manifest, keys: UnitKeys, fingerprints: ReadonlySet<string>): boolean {
  return artifacts.every(({ transforms }) =>
    transforms.some(({ parameters }) => {
      const key = keys.keyOf(parameters);
      return key !== undefined && fingerprints.has(key);
    }),
  );
}

/**
 * Notes beside each backup that its keys are gone, so that whoever lists it knows.
 * @returns a warning for each note that could not be written; nothing depends on them.
 */
export async function noteErasure(
  pipeline: Pipeline,
  { unit, locked }: ErasurePlan,
  { by, at }: { readonly by: string; readonly at: Date },
  signal: AbortSignal,
): Promise<readonly string[]> {
  const warnings: string[] = [];
  await withSession(pipeline, signal, async (session) => {
    for (const { backup, sinks } of locked) {
      for (const sink of pipeline.sinks.filter(({ name }) => sinks.includes(name))) {
        try {
          const note = { kind: 'destroyed', unit, backup, at: at.toISOString(), reason: by } as const;
          await addNote(session, sink, note);
        } catch (error) {
          throwIfAborted(signal);
          const { code, message } = toPgsiloError(error);
          if (code !== 'sink.exists')
            warnings.push(`${backup} is not marked in sink ${sink.name}: ${message}`);
        }
      }
    }
  });
  return warnings;
}

/** The keys of units of a pipeline. Throws `usage.invalid` where no transform has any. */
export async function unitKeysOf(pipeline: Pipeline): Promise<UnitKeys> {
  const having = pipeline.transforms.flatMap(({ transform }) =>
    transform.unitKeys ? [() => transform.unitKeys!()] : [],
  );
  const [first, second] = having;
  if (!first)
    throw new PgsiloError('usage.invalid', `pipeline ${pipeline.name} has no keyring`, {
      hint: 'A key for each unit: `{ use: gpg, perUnit: true, keyring: { path: keys/ }, wrapFor: [ops.asc] }`.',
    });
  if (second)
    throw new PgsiloError('usage.invalid', `pipeline ${pipeline.name} has two transforms with a keyring`, {
      hint: 'Encrypt once: leave one of them out.',
    });
  return first();
}
