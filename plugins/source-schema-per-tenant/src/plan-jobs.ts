import type { History, Job, Unit } from '@pgsilo/plugin';
import { globalsUnit, showName, type Session } from '@pgsilo/postgres';
import { writeDetails } from './job-details.ts';
import { leftOutOf } from './left-out.ts';
import { databaseOf, type SourceSetup } from './setup.ts';
import { chooseStrategy, schemaSizes } from './strategy.ts';
import { databaseUnit, schemaOf } from './units.ts';

export interface PlannedJobs {
  readonly jobs: readonly Job[];
  /** How, and why so. */
  readonly notes: readonly string[];
}

/** @param tenants the units but those of the database itself and of the server */
export async function planJobs(
  setup: SourceSetup,
  session: Session,
  tenants: readonly Unit[],
  history: History,
): Promise<PlannedJobs> {
  const planned = await planSchemas(setup, session, tenants, history);
  if (!setup.options.globals) return planned;
  const estimated = estimate(history.lastBytes(globalsUnit.name));
  const globals: Job = { id: 'globals', units: [globalsUnit], ...estimated };
  return { ...planned, jobs: [...planned.jobs, globals] };
}

async function planSchemas(
  setup: SourceSetup,
  session: Session,
  tenants: readonly Unit[],
  history: History,
): Promise<PlannedJobs> {
  const schemas = tenants.map((unit) => schemaOf(unit)!);
  const { kind, why } = await chooseStrategy(setup, schemas, () => schemaSizes(session, schemas));
  const own = databaseUnit(databaseOf(setup));
  if (kind === 'one-pass') {
    const units = [...tenants, own];
    const details = writeDetails({ kind: 'pass', tenants: schemas });
    const job = { id: 'database', units, details, ...estimate(await sizeOfAll(session, units, history)) };
    return { jobs: [job], notes: [why] };
  }
  const sizes = await schemaSizes(session, schemas);
  const jobs = tenants.map((unit, index): Job => {
    const bytes = history.lastBytes(unit.name) ?? sizes.get(schemas[index]!);
    const id = `schema ${schemas[index]!}`;
    return { id, units: [unit], details: writeDetails({ kind: 'schema', tenants: [] }), ...estimate(bytes) };
  });
  const rest: Job = {
    id: 'the rest of the database',
    units: [own],
    details: writeDetails({ kind: 'rest', tenants: schemas }),
    ...estimate(history.lastBytes(own.name)),
  };
  return { jobs: [...jobs, rest], notes: [why, ...(await apart(session, schemas))] };
}

/** What pg_dump does not put into a schema's own archive. */
async function apart(session: Session, schemas: readonly string[]): Promise<readonly string[]> {
  const leftOut = await leftOutOf(session, schemas);
  return schemas.flatMap((schema) => {
    const { objects } = leftOut(schema);
    if (objects.length === 0) return [];
    const what = objects.map((one) => showName(one)).join(', ');
    return [`Of schema ${showName(schema)}, pg_dump puts into @database what has no schema: ${what}.`];
  });
}

function estimate(bytes: number | undefined): { readonly estimatedBytes?: number } {
  return bytes === undefined ? {} : { estimatedBytes: bytes };
}

/** By the last backups where each unit has one, else by what lies on disk. */
async function sizeOfAll(
  session: Session,
  units: readonly Unit[],
  history: History,
): Promise<number | undefined> {
  const known = units.map((unit) => history.lastBytes(unit.name));
  if (known.every((bytes) => bytes !== undefined)) return known.reduce((sum, bytes) => sum + bytes, 0);
  const [row] = await session.query<{ bytes: string }>(
    'SELECT pg_database_size(current_database())::text AS bytes',
  );
  return row && Number(row.bytes);
}
