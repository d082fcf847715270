import { isPgsiloError, PgsiloError, throwIfAborted, toPgsiloError } from '@pgsilo/plugin';
import { readPlace } from './catalog.ts';
import type { Place } from './catalog.ts';
import { timeOfId } from './keys.ts';
import type { Manifest } from './manifest.ts';
import type { Notes } from './note-store.ts';
import { readNotes } from './note-store.ts';
import type { PipelineSink } from './pipeline.ts';
import { eachLimited } from './pool.ts';
import { decide } from './retention/decide.ts';
import type { Candidate, Reason, Verdict } from './retention/decide.ts';
import { Departures } from './retention/departures.ts';
import { takeInventories } from './retention/inventory.ts';
import type { Inventories } from './retention/inventory.ts';
import { keepingOf } from './retention/policy.ts';
import type { Retention } from './retention/policy.ts';
import { isSafetyBackup } from './safety-label.ts';
import type { EngineSession } from './session.ts';

const unitsAtOnce = 16;
const manifestsAtOnce = 8;
/** Backups that are planned before the first of them is handed out. */
const batchSize = 512;
/** Manifests that a sink may fail to give before it is taken for broken; one bad block of a disk must not end all pruning. */
const mostFailures = 16;

/** One backup in one sink, and what is to become of it. */
export interface PlannedBackup {
  readonly unit: string;
  readonly unitKey: string;
  readonly backup: string;
  readonly sink: PipelineSink;
  readonly snapshotAt: string | undefined;
  readonly status: Candidate['status'];
  readonly requires: readonly string[];
  /** The first file of write-ahead log that it needs; undefined where that is not known, or the source keeps none. */
  readonly firstWal: string | undefined;
  /** Of all its objects in this sink. */
  readonly bytes: number;
  readonly keep: boolean;
  readonly reasons: readonly Reason[];
  /** Why its manifest cannot be read. */
  readonly error: PgsiloError | undefined;
}

/** What the sinks hold, as far as a plan needs to know it. */
export interface Survey {
  readonly inventories: Inventories;
  readonly notes: Notes;
  readonly departures: Departures;
}

export async function survey(session: EngineSession): Promise<Survey> {
  const inventories = await takeInventories(session);
  const sinks = [...inventories.of.keys()];
  return {
    inventories,
    notes: await readNotes(session, sinks),
    departures: await Departures.read(session, sinks),
  };
}

/** Throws `usage.invalid` when no sink has a retention: everything is kept then, and whoever asks to prune means something else. */
export function mustHaveRetention({ pipeline }: EngineSession): void {
  if (pipeline.sinks.some(({ retention }) => retention)) return;
  throw new PgsiloError(
    'usage.invalid',
    `pipeline ${pipeline.name} has no retention: all its backups are kept`,
    { hint: 'Say what to keep, for example `retention: { last: 3, daily: 30, monthly: 12 }`.' },
  );
}

/**
 * What retention makes of every backup, unit by unit, in sinks that have one. Reads every manifest, once for all sinks that hold the backup; of them no more is in memory than of a few units.
 */
export async function* planUnits(
  session: EngineSession,
  surveyed: Survey,
): AsyncGenerator<readonly PlannedBackup[], void, undefined> {
  const failures = { left: mostFailures };
  for (const batch of batches(surveyed.inventories)) {
    const planned = new Map<string, readonly PlannedBackup[]>();
    await eachLimited(batch, unitsAtOnce, async (places) => {
      const { unitKey } = places[0]!;
      planned.set(unitKey, await planUnit(session, surveyed, places, failures));
    });
    for (const places of batch) {
      const unit = planned.get(places[0]!.unitKey)!;
      if (unit.length > 0) yield unit;
    }
  }
}

/** The places of each unit, newest first, some units at a time. */
function* batches({ of }: Inventories): Generator<readonly (readonly Place[])[], void, undefined> {
  const unitKeys = new Set([...of.values()].flatMap((inventory) => [...inventory.keys()]));
  let batch: (readonly Place[])[] = [];
  let size = 0;
  for (const unitKey of [...unitKeys].sort()) {
    const places = new Map<string, { unitKey: string; backup: string; sinks: PipelineSink[] }>();
    for (const [sink, inventory] of of) {
      for (const [backup, { manifest }] of inventory.get(unitKey) ?? []) {
        if (!manifest) continue;
        const known = places.get(backup);
        if (known) known.sinks.push(sink);
        else places.set(backup, { unitKey, backup, sinks: [sink] });
      }
    }
    if (places.size === 0) continue;
    batch.push([...places.values()].sort((a, b) => (a.backup < b.backup ? 1 : -1)));
    size += places.size;
    if (size < batchSize) continue;
    yield batch;
    batch = [];
    size = 0;
  }
  if (batch.length > 0) yield batch;
}

interface Known extends Candidate {
  readonly place: Place;
  readonly snapshotAt: string | undefined;
  readonly unit: string | undefined;
  readonly labels: Readonly<Record<string, string>> | undefined;
  readonly firstWal: string | undefined;
  readonly error: PgsiloError | undefined;
}

async function planUnit(
  session: EngineSession,
  { inventories, notes, departures }: Survey,
  places: readonly Place[],
  failures: { left: number },
): Promise<readonly PlannedBackup[]> {
  const found = new Map<string, Known>();
  await eachLimited(places, manifestsAtOnce, async (place) => {
    const known = await readKnown(session, place, notes, failures);
    if (known) found.set(place.backup, known);
  });
  const all = places.flatMap(({ backup }) => found.get(backup) ?? []);
  const readable = all.find(({ labels }) => labels);
  const { unitKey, backup: newest } = places[0]!;
  const unit = readable?.unit ?? unitKey;
  const planned: PlannedBackup[] = [];
  for (const [sink, inventory] of inventories.of) {
    const { retention } = sink;
    const here = all.filter(({ place }) => place.sinks.includes(sink));
    if (!retention || here.length === 0) continue;
    for (const verdict of await judge(session, { here, retention, departures, unitKey, newest, readable })) {
      const { backup, keep, reasons } = verdict;
      const { snapshotAt, status, requires, firstWal, error } = found.get(backup)!;
      const about = { unit, unitKey, backup, sink, snapshotAt, status, firstWal, keep, reasons, error };
      planned.push({
        ...about,
        requires: requires === 'unknown' ? [] : requires,
        bytes: inventory.get(unitKey)!.get(backup)!.bytes,
      });
    }
  }
  return planned;
}

interface Case {
  readonly here: readonly Known[];
  readonly retention: Retention;
  readonly departures: Departures;
  readonly unitKey: string;
  readonly newest: string;
  readonly readable: Known | undefined;
}

async function judge(session: EngineSession, about: Case): Promise<readonly Verdict[]> {
  const { here, retention, departures, unitKey, newest, readable } = about;
  const keeping = keepingOf(retention, readable?.labels ?? {});
  const heldUntil = keeping?.departed && (await departures.heldUntil(unitKey, newest, keeping.departed));
  return decide(here, {
    keeping,
    timezone: retention.timezone,
    now: session.pipeline.clock.now(),
    ...(heldUntil ? { heldUntil } : {}),
  });
}

/** Undefined for a backup that is gone by now. */
async function readKnown(
  session: EngineSession,
  place: Place,
  { held, destroyed, proved: answers }: Notes,
  failures: { left: number },
): Promise<Known | undefined> {
  const { unitKey, backup } = place;
  const pinned = held.has(`${unitKey}/${backup}`);
  const proved = answers.get(`${unitKey}/${backup}`)?.result === 'ok';
  try {
    const manifest: Manifest = await readPlace(session, place);
    const { snapshotAt, requires, unit } = manifest;
    const status: Candidate['status'] = destroyed.has(`${unitKey}/${backup}`) ? 'destroyed' : manifest.status;
    const safety = isSafetyBackup(manifest);
    const firstWal = session.pipeline.source.source.wal?.firstNeeded?.(manifest.about);
    const known = { place, backup, pinned, proved, safety, firstWal, error: undefined };
    const about = { ...known, snapshotAt, status, requires };
    return { ...about, time: Date.parse(snapshotAt), unit: unit.name, labels: unit.labels };
  } catch (thrown) {
    throwIfAborted(session.signal);
    const error = toPgsiloError(thrown);
    if (error.code === 'sink.not-found') return undefined;
    if (!isPgsiloError(thrown) || !error.code.startsWith('catalog.')) {
      failures.left -= 1;
      if (failures.left < 0) throw error;
    }
    const about = {
      place,
      backup,
      pinned,
      proved,
      safety: false,
      error,
      snapshotAt: undefined,
      firstWal: undefined,
      unit: undefined,
      labels: undefined,
    };
    return {
      ...about,
      status: 'unknown',
      // What is damaged cannot be restored, so it needs nothing; what could not be read now, or is of a later format, may need any older one.
      requires: error.code === 'catalog.corrupt' ? [] : 'unknown',
      time: timeOfId(backup) || Number.MAX_SAFE_INTEGER,
    };
  }
}
