import {
  PgsiloError,
  type Context,
  type History,
  type MissingUnit,
  type Plan,
  type Unit,
} from '@pgsilo/plugin';
import {
  anyGlob, invalidPlan, openSession, readRegistry, refuseBadNames, showName, type Listed,
} from '@pgsilo/postgres'; // prettier-ignore
import { largeObjectWarnings } from './large-objects.ts';
import { planJobs } from './plan-jobs.ts';
import { planWarnings } from './plan-warnings.ts';
import { crossReferences } from './references.ts';
import { listSchemas, type Schema } from './schemas.ts';
import { databaseOf, type SourceSetup } from './setup.ts';
import { schemaOf } from './units.ts';

/** All units that there are now: as one job, where one pass over the database serves them all, or as one each. */
export async function planUnits(setup: SourceSetup, history: History, context: Context): Promise<Plan> {
  const database = databaseOf(setup);
  const session = await openSession(setup.settings, {
    database,
    applicationName: 'pgsilo plan',
    purpose: 'list the schemas',
    signal: context.signal,
  });
  try {
    const schemas = await listSchemas(session);
    const listed = await listTenants(setup, schemas, context);
    refuseBadNames(listed, 'schema');
    const missing: MissingUnit[] = [];
    const units: Unit[] = [];
    for (const tenant of listed) {
      const origin = { database, schema: tenant.place };
      const unit: Unit = { name: tenant.unit, labels: tenant.labels, origin };
      const error = problemOf(tenant.place, schemas.get(tenant.place), database);
      if (error) missing.push({ unit, error });
      else units.push(unit);
    }
    const warnings = planWarnings(setup, listed, schemas, await crossReferences(session));
    const owned = await largeObjectWarnings(
      setup,
      session,
      units.map((unit) => schemaOf(unit)!),
    );
    const { jobs, notes } = await planJobs(setup, session, units, history);
    return { jobs, missing, warnings: [...warnings, ...owned], notes };
  } finally {
    await session.close();
  }
}

/** Schemas that `exclude` leaves out of everything. */
export function excludedSchemas(
  setup: SourceSetup,
  schemas: ReadonlyMap<string, Schema>,
): ReadonlySet<string> {
  const excluded = anyGlob(setup.options.exclude);
  return new Set([...schemas.keys()].filter(excluded));
}

/** The tenants by the rule of the pipeline file, and what they share. @param schemas those that there are, for a rule that goes by them */
export async function listTenants(
  setup: SourceSetup,
  schemas: ReadonlyMap<string, Schema>,
  context: Context,
): Promise<Listed[]> {
  const { registry, match, schemas: names, exclude, shared = [] } = setup.options;
  const excluded = anyGlob(exclude);
  const ofSchema = (schema: string, where: string): Listed => ({
    unit: schema,
    place: schema,
    labels: {},
    where,
  });
  const sharedUnits = shared.map((schema, index) => ({
    ...ofSchema(schema, `entry ${index + 1} of shared`),
    labels: { role: 'shared' },
  }));
  let tenants: Listed[];
  if (match !== undefined) {
    const matches = anyGlob(match);
    const found = [...schemas.values()].filter(
      ({ name, ofExtension }) => !ofExtension && matches(name) && !excluded(name) && !shared.includes(name),
    );
    if (found.length === 0)
      throw invalidPlan(
        `no schema of database ${showName(databaseOf(setup))} fits match: ${[match].flat().map(showName).join(', ')}`,
        'Compare with the output of \\dn in psql.',
      );
    tenants = found.map(({ name }) => ofSchema(name, 'match'));
  } else if (registry) {
    const where = { database: registry.database ?? databaseOf(setup), query: registry.query };
    tenants = await readRegistry(setup.settings, where, 'schema', context);
  } else tenants = (names ?? []).map((name, index) => ofSchema(name, `entry ${index + 1} of schemas`));
  const listed = [...tenants, ...sharedUnits];
  const clash = listed.find((one) => excluded(one.place));
  if (clash)
    throw invalidPlan(
      `${clash.where} names ${showName(clash.place)}, which exclude leaves out`,
      'Take it out of one of the two.',
    );
  return listed;
}

function problemOf(name: string, schema: Schema | undefined, database: string): PgsiloError | undefined {
  const shown = showName(name);
  if (!schema)
    return new PgsiloError(
      'source.unit-missing',
      `schema ${shown} does not exist in database ${showName(database)}`,
      { hint: 'Correct the registry, or restore the schema.' },
    );
  if (!schema.ofExtension) return undefined;
  return new PgsiloError(
    'source.unit-missing',
    `schema ${shown} is part of an extension: CREATE EXTENSION makes it, and pg_dump leaves it out`,
    { hint: 'Take it out of the list; its rows, if any are to be kept, are in the unit @database.' },
  );
}
