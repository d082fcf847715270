import { isPgsiloError, PgsiloError, throwIfAborted } from '@pgsilo/plugin';
import { listPlaces, readPlace } from './catalog.ts';
import type { Place } from './catalog.ts';
import { encodeUnit, timeOfId } from './keys.ts';
import type { Manifest } from './manifest.ts';
import { readNotes } from './note-store.ts';
import type { Notes } from './note-store.ts';
import type { Pipeline, PipelineSink } from './pipeline.ts';
import { eachLimited } from './pool.ts';
import { after } from './retention/calendar.ts';
import { keepingOf } from './retention/policy.ts';
import type { Keeping } from './retention/policy.ts';
import type { EngineSession } from './session.ts';
import { withSession } from './session.ts';

/** Backups of one unit in one sink that hold a tenant. */
export interface Holding {
  readonly pipeline: string;
  readonly sink: string;
  readonly unit: string;
  readonly backups: number;
  /** The moment whose state the newest of them holds. */
  readonly newest: Date;
  /** When retention will have removed the last of them, as far as it goes by time; undefined: never, as far as is known. */
  readonly until?: Date;
}

/** Who is looked for. */
export interface Tenant {
  readonly unit: string;
  /** The database that its units were read from, where that is known. */
  readonly databases: readonly string[];
  /** Backups of the unit itself that are none of these holdings, by `<unit key>/<backup>`. */
  readonly except: ReadonlySet<string>;
}

const manifestsAtOnce = 16;
/** A whole server holds every tenant. */
const wholeServer = '@cluster';

/**
 * What the sinks of a pipeline hold of a tenant: units of its name, units read from its database, whole servers. Needs no server.
 * Throws what a sink throws that cannot be read: who is told that nothing is left must be able to believe it.
 */
export async function findHoldings(
  pipeline: Pipeline,
  tenant: Tenant,
  signal: AbortSignal,
): Promise<readonly Holding[]> {
  return withSession(pipeline, signal, async (session) => {
    const places = await lookingEverywhere(() => listPlaces(session, pipeline.sinks));
    const notes = await readNotes(session, pipeline.sinks);
    const found: Holding[] = [];
    const units = Map.groupBy(places, ({ unitKey }) => unitKey);
    await eachLimited(units.values(), manifestsAtOnce, async (all) => {
      const about = await readFirst(session, all);
      if (!holds(about, all[0]!.unitKey, tenant)) return;
      const ofUnit = all.filter(({ unitKey, backup }) => !tenant.except.has(`${unitKey}/${backup}`));
      for (const sink of pipeline.sinks) {
        const here = ofUnit.filter(({ sinks }) => sinks.includes(sink));
        if (here.length > 0) found.push(holding(pipeline, sink, here, about, notes));
      }
    });
    return found.sort((a, b) => (a.sink + a.unit < b.sink + b.unit ? -1 : 1));
  });
}

/** Elsewhere a sink that cannot be read may be passed over. Here it may not: nobody could believe what is then said of the others. */
export async function lookingEverywhere<Result>(look: () => Promise<Result>): Promise<Result> {
  try {
    return await look();
  } catch (error) {
    if (!isPgsiloError(error) || !error.code.startsWith('sink.')) throw error;
    // What the sink itself hinted at stands in the cause; the hint of the catalog is to leave the sink out.
    const own = isPgsiloError(error.cause) ? error.cause.hint : undefined;
    throw new PgsiloError(error.code, error.message, {
      cause: error.cause,
      hint: `${own === undefined ? '' : `${own} `}Every sink must be readable, to know what the unit has there.`,
    });
  }
}

/** The newest manifest that can be read; undefined where none can. */
async function readFirst(session: EngineSession, places: readonly Place[]): Promise<Manifest | undefined> {
  for (const place of places) {
    try {
      return await readPlace(session, place);
    } catch {
      throwIfAborted(session.signal);
    }
  }
  return undefined;
}

function holds(about: Manifest | undefined, unitKey: string, { unit, databases }: Tenant): boolean {
  if (unitKey === encodeUnit(unit) || unitKey === encodeUnit(wholeServer)) return true;
  const database = about?.unit.origin['database'];
  return typeof database === 'string' && databases.includes(database);
}

/** @param here newest first, at least one. */
function holding(
  pipeline: Pipeline,
  sink: PipelineSink,
  here: readonly Place[],
  about: Manifest | undefined,
  notes: Notes,
): Holding {
  const { retention } = sink;
  const newest = new Date(timeOfId(here[0]!.backup));
  const pinned = here.some(({ unitKey, backup }) => notes.held.has(`${unitKey}/${backup}`));
  const keeping = retention && keepingOf(retention, about?.unit.labels ?? {});
  const until = pinned || !keeping ? undefined : expiry(newest, keeping);
  return {
    pipeline: pipeline.name,
    sink: sink.name,
    unit: about?.unit.name ?? here[0]!.unitKey,
    backups: here.length,
    newest,
    ...(until ? { until } : {}),
  };
}

/** When a backup of that moment is kept by no rule any more that goes by time; `last` is taken to have moved on by then. */
function expiry(newest: Date, keeping: Keeping): Date | undefined {
  const { within, hourly, daily, weekly, monthly, yearly, departed } = keeping;
  const ends = [
    ...(within ? [after(newest, within)] : []),
    ...(departed ? [after(newest, departed)] : []),
    ...(hourly === undefined ? [] : [after(newest, { count: hourly, unit: 'hours' })]),
    ...(daily === undefined ? [] : [after(newest, { count: daily, unit: 'days' })]),
    ...(weekly === undefined ? [] : [after(newest, { count: weekly, unit: 'weeks' })]),
    ...(monthly === undefined ? [] : [after(newest, { count: monthly * 31, unit: 'days' })]),
    ...(yearly === undefined ? [] : [after(newest, { count: yearly, unit: 'years' })]),
  ];
  return ends.length === 0 ? undefined : new Date(Math.max(...ends.map((end) => end.getTime())));
}
