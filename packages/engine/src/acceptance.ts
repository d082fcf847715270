import { toPgsiloError } from '@pgsilo/plugin';
import { listPlaces, readManifestIn } from './catalog.ts';
import type { Place } from './catalog.ts';
import { encodeUnit, timeOfId } from './keys.ts';
import type { PipelineSink } from './pipeline.ts';
import { eachLimited } from './pool.ts';
import { periodsAt } from './retention/calendar.ts';
import type { Period } from './retention/policy.ts';
import type { EngineSession } from './session.ts';

/** What a sink takes of each unit: the first good backup of each of these periods, and no other. */
export interface Acceptance {
  readonly periods: readonly Period[];
  /** Where days, weeks, months and years begin: an IANA name or an offset. */
  readonly timezone: string;
}

type Named = Pick<Place, 'unitKey' | 'backup'>;

const manifestsAtOnce = 16;

/** Damaged, or just removed: the period has no good backup by it. */
const countsAsAbsent: ReadonlySet<string> = new Set(['catalog.corrupt', 'sink.not-found']);

/** For which periods a sink has a good backup of a unit. */
export class Taken {
  readonly #acceptance: Acceptance;
  readonly #taken = new Set<string>();

  constructor(acceptance: Acceptance) {
    this.#acceptance = acceptance;
  }

  /** Whether a backup is the first of its unit in one of the periods. */
  isDue(place: Named): boolean {
    return this.periodsOf(place).some((period) => !this.#taken.has(period));
  }

  /** From now on the sink has it. */
  take(place: Named): void {
    for (const period of this.periodsOf(place)) this.#taken.add(period);
  }

  periodsOf({ unitKey, backup }: Named): readonly string[] {
    const periodOf = periodsAt(timeOfId(backup), this.#acceptance.timezone);
    return this.#acceptance.periods.map((period) => `${unitKey} ${period} ${periodOf(period)}`);
  }
}

/**
 * What a sink with `accept` has of the periods that these backups fall into. One listing, and the manifests of those periods alone; a backup whose manifest is damaged does not count.
 * Throws what the sink throws.
 */
export async function readTaken(
  session: EngineSession,
  sink: PipelineSink,
  acceptance: Acceptance,
  candidates: readonly Named[],
): Promise<Taken> {
  const taken = new Taken(acceptance);
  const asked = new Set(candidates.flatMap((candidate) => taken.periodsOf(candidate)));
  const places = (await listPlaces(session, [sink])).filter((place) =>
    taken.periodsOf(place).some((period) => asked.has(period)),
  );
  await eachLimited(places, manifestsAtOnce, async (place) => {
    if (!taken.isDue(place)) return;
    try {
      const { status } = await readManifestIn(session, sink, place);
      if (status === 'good') taken.take(place);
    } catch (error) {
      if (!countsAsAbsent.has(toPgsiloError(error).code)) throw error;
    }
  });
  return taken;
}

/** What of the run's units a sink wants, by their names; without `accept` it wants all. */
export async function readDue(
  session: EngineSession,
  sink: PipelineSink,
  run: string,
  units: readonly string[],
): Promise<(unit: string) => boolean> {
  const { accept } = sink;
  if (!accept) return () => true;
  const candidates = new Map(units.map((unit) => [unit, { unitKey: encodeUnit(unit), backup: run }]));
  const taken = await readTaken(session, sink, accept, [...candidates.values()]);
  const due = new Set(
    [...candidates].filter(([, candidate]) => taken.isDue(candidate)).map(([unit]) => unit),
  );
  return (unit) => due.has(unit);
}
