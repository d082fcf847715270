import { createHash } from 'node:crypto';
import { type Context, type History, type Job, type MissingUnit, type Plan, type Unit } from '@pgsilo/plugin';
import {
  globalsUnit,
  openSession,
  showName,
  databaseSizes,
  listDatabases,
  problemOf,
  type Database,
  anyGlob,
  invalidPlan,
  isWorkingName,
  readRegistry,
  refuseBadNames,
  type Listed,
} from '@pgsilo/postgres';
import { planWarnings } from './plan-warnings.ts';
import type { SourceSetup } from './setup.ts';

/** The units that there are now, each a job of its own. */
export async function planUnits(setup: SourceSetup, history: History, context: Context): Promise<Plan> {
  const session = await openSession(setup.settings, {
    applicationName: 'pgsilo plan',
    purpose: 'list the databases',
    signal: context.signal,
  });
  try {
    const databases = await listDatabases(session);
    // Another restore's work, gone before anybody could back it up.
    for (const name of databases.keys()) if (isWorkingName(name)) databases.delete(name);
    const listed = await listTenants(setup, databases, context);
    refuseBadNames(listed, 'database');

    const missing: MissingUnit[] = [];
    const units: Unit[] = [];
    for (const tenant of listed) {
      const unit: Unit = { name: tenant.unit, labels: tenant.labels, origin: { database: tenant.place } };
      const error = problemOf(tenant.place, databases.get(tenant.place));
      if (error) missing.push({ unit, error });
      else units.push(unit);
    }
    const unknown = units.filter((unit) => history.lastBytes(unit.name) === undefined);
    const sizes = await databaseSizes(session, unknown.map(databaseOf), context);
    const jobs = units.map((unit) =>
      toJob(unit, history.lastBytes(unit.name) ?? sizes.get(databaseOf(unit))),
    );
    if (setup.options.globals) jobs.push(toJob(globalsUnit, history.lastBytes(globalsUnit.name)));
    const warnings = planWarnings(setup, listed, databases);
    return { jobs, missing, warnings };
  } finally {
    await session.close();
  }
}

/** The database of a unit of ours. */
export function databaseOf(unit: Unit): string {
  const database = unit.origin['database'];
  if (typeof database !== 'string') throw invalidPlan(`unit ${showName(unit.name)} names no database`);
  return database;
}

/** The tenants as the rules name them, those that do not exist among them. */
export async function listTenants(
  setup: SourceSetup,
  databases: ReadonlyMap<string, Database>,
  context: Context,
): Promise<Listed[]> {
  const { registry, match, databases: names, exclude } = setup.options;
  const excluded = anyGlob(exclude);
  const ofDatabase = (database: string, where: string): Listed => ({
    unit: database,
    place: database,
    labels: {},
    where,
  });
  if (match !== undefined) {
    const matches = anyGlob(match);
    const found = [...databases.values()].filter(
      ({ name, isTemplate }) => !isTemplate && matches(name) && !excluded(name),
    );
    if (found.length > 0) return found.map(({ name }) => ofDatabase(name, 'match'));
    throw invalidPlan(
      `no database of the server fits match: ${[match].flat().map(showName).join(', ')}`,
      'Compare with the output of psql --list.',
    );
  }
  const listed = registry
    ? await readRegistry(setup.settings, registry, 'database', context)
    : (names ?? []).map((name, index) => ofDatabase(name, `entry ${index + 1} of databases`));
  const clash = listed.find((one) => excluded(one.place));
  if (clash)
    throw invalidPlan(
      `${clash.where} names ${showName(clash.place)}, which exclude leaves out`,
      'Take it out of one of the two.',
    );
  if (registry && !listed.some((one) => one.place === registry.database)) {
    listed.push({ ...ofDatabase(registry.database, 'the registry itself'), labels: { role: 'registry' } });
  }
  return listed;
}

function toJob(unit: Unit, estimatedBytes: number | undefined): Job {
  return { id: jobId(unit), units: [unit], ...(estimatedBytes === undefined ? {} : { estimatedBytes }) };
}

/** Stable, and of safe characters whatever the tenant is called. */
function jobId(unit: Unit): string {
  if (unit === globalsUnit) return 'globals';
  const readable = unit.name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 24);
  const hash = createHash('sha256').update(unit.name).digest('hex').slice(0, 10);
  return `db-${readable ? `${readable}-` : ''}${hash}`;
}
