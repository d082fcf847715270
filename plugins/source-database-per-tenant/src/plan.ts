import { createHash } from 'node:crypto';
import { type Context, type History, type Job, type MissingUnit, type Plan, type Unit } from '@pgsilo/plugin';
import { openSession, showName } from '@pgsilo/postgres';
import { databaseSizes, listDatabases, problemOf, type Database } from './databases.ts';
import { globalsUnit } from './globals.ts';
import { anyGlob } from './glob.ts';
import { planWarnings } from './plan-warnings.ts';
import { invalid, readRegistry, type Listed } from './registry.ts';
import type { SourceSetup } from './setup.ts';
import { isWorkingName } from './working-database.ts';

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
    refuseBadNames(listed);

    const missing: MissingUnit[] = [];
    const units: Unit[] = [];
    for (const tenant of listed) {
      const unit: Unit = { name: tenant.unit, labels: tenant.labels, origin: { database: tenant.database } };
      const error = problemOf(tenant.database, databases.get(tenant.database));
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
  if (typeof database !== 'string') throw invalid(`unit ${showName(unit.name)} names no database`);
  return database;
}

async function listTenants(
  setup: SourceSetup,
  databases: ReadonlyMap<string, Database>,
  context: Context,
): Promise<Listed[]> {
  const { registry, match, databases: names, exclude } = setup.options;
  const excluded = anyGlob(exclude);
  const ofDatabase = (database: string, where: string): Listed => ({
    unit: database,
    database,
    labels: {},
    where,
  });
  if (match !== undefined) {
    const matches = anyGlob(match);
    const found = [...databases.values()].filter(
      ({ name, isTemplate }) => !isTemplate && matches(name) && !excluded(name),
    );
    if (found.length > 0) return found.map(({ name }) => ofDatabase(name, 'match'));
    throw invalid(
      `no database of the server fits match: ${[match].flat().map(showName).join(', ')}`,
      'Compare with the output of psql --list.',
    );
  }
  const listed = registry
    ? await readRegistry(setup, context)
    : (names ?? []).map((name, index) => ofDatabase(name, `entry ${index + 1} of databases`));
  const clash = listed.find((one) => excluded(one.database));
  if (clash)
    throw invalid(
      `${clash.where} names ${showName(clash.database)}, which exclude leaves out`,
      'Take it out of one of the two.',
    );
  if (registry && !listed.some((one) => one.database === registry.database)) {
    listed.push({ ...ofDatabase(registry.database, 'the registry itself'), labels: { role: 'registry' } });
  }
  return listed;
}

/** A list with two of a name would put two tenants into one place; one with a reserved name would hide a tenant among pgsilo's own. */
function refuseBadNames(listed: readonly Listed[]): void {
  const units = new Map<string, Listed>();
  const databases = new Map<string, Listed>();
  for (const one of listed) {
    const { unit, database, where } = one;
    if (unit.startsWith('@') || unit.startsWith('_')) {
      throw invalid(
        `${where}: the unit ${showName(unit)} begins with ${unit[0]}, which is reserved`,
        'Give it another name with a column "unit", or exclude it.',
      );
    }
    const sameUnit = units.get(unit);
    if (sameUnit) {
      throw invalid(
        `${where} and ${sameUnit.where} are one unit, ${showName(unit)} (databases ${showName(database)} and ${showName(sameUnit.database)})`,
        'Each tenant needs a unit name of its own.',
      );
    }
    const sameDatabase = databases.get(database);
    if (sameDatabase) {
      throw invalid(
        `${where} and ${sameDatabase.where} name one database, ${showName(database)} (units ${showName(unit)} and ${showName(sameDatabase.unit)})`,
        'Use SELECT DISTINCT, or correct the registry.',
      );
    }
    units.set(unit, one);
    databases.set(database, one);
  }
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
