import type { Job, ReadContext, SourceItem } from '@pgsilo/plugin';
import {
  beginArchive, EntryOwners, findTool, isGlobals, lockTables, prepareFingerprints, readDatabaseSettings, readGlobals, requireUntouched, showName, splitArchive, takeSnapshot, readInAttempt, type Attempt, type Session,
} from '@pgsilo/postgres'; // prettier-ignore
import { dump, type Extent } from './dump.ts';
import { Groups } from './groups.ts';
import { readDetails, type JobDetails } from './job-details.ts';
import { LargeObjectGroups } from './large-object-groups.ts';
import { countLargeObjects, requireLargeObjectsKnown, schemaOwners } from './large-objects.ts';
import { leftOutOf } from './left-out.ts';
import { requireLocks } from './locks.ts';
import { excludedSchemas } from './plan.ts';
import { crossReferences } from './references.ts';
import { listSchemas } from './schemas.ts';
import { databaseOf, type SourceSetup } from './setup.ts';
import type { Share, SharedSnapshot } from './shared-snapshot.ts';
import { databaseUnitName, schemaOf } from './units.ts';
import { UnitReader } from './unit-reader.ts';
import { notInOnePass, readAsItComes } from './unread-archive.ts';

/** What the jobs of a source share. */
export interface Reading {
  readonly setup: SourceSetup;
  /** Those that are open, to be ended with the source. */
  readonly attempts: Set<Attempt>;
  readonly shared: SharedSnapshot;
}

/** So many schemas may be named to pg_dump: each is a query of its own, and arguments have a limit. Above it the whole is dumped, and what was not asked for is dropped on the way. */
const mostNamed = 100;

/** Backs up the units of a job from one pg_dump, of their database or of chosen schemas alone, whose archive is split on its way. */
export async function* readJob(
  { setup, attempts, shared }: Reading,
  job: Job,
  context: ReadContext,
): AsyncGenerator<SourceItem> {
  if (job.units.some(isGlobals))
    return yield* readInAttempt(setup.settings, attempts, context, (attempt) =>
      readGlobals(setup, attempt, context),
    );
  let share: Share | undefined;
  try {
    yield* readInAttempt(setup.settings, attempts, context, async function* (attempt) {
      const details = readDetails(job);
      const session = await attempt.open(databaseOf(setup), 'back up');
      if (details.kind !== 'pass') share = await shared.join(session);
      yield* readUnits(setup, attempt, session, share, { job, details }, context);
    });
    share?.keep();
  } finally {
    share?.leave();
  }
}

async function* readUnits(
  setup: SourceSetup,
  attempt: Attempt,
  session: Session,
  share: Share | undefined,
  { job, details }: { readonly job: Job; readonly details: JobDetails },
  context: ReadContext,
): AsyncGenerator<SourceItem> {
  const { fingerprint: kind, lockTimeout } = setup.options;
  const tool = await findTool('pg_dump', session.major, setup.programs, context.signal);
  const snapshot = share?.snapshot ?? (await takeSnapshot(session));
  const schemas = await listSchemas(session);
  const excluded = excludedSchemas(setup, schemas);
  const byOwner = await largeObjectsByOwner(setup, session, job, details);
  // Of chosen schemas alone pg_dump dumps no large objects.
  const alone = byOwner ? undefined : chosenAlone(job);
  const others = unchosen(job, details);
  const groups = new Groups(job.units, schemas, new Set([...excluded, ...others]), alone !== undefined);
  // Where others are read too, all are refused for the same reason.
  if (!alone || share) await requireLargeObjectsKnown(setup, session, tool);
  // Of chosen schemas alone pg_dump locks few tables.
  if (!alone) await requireLocks(session);
  const references = await crossReferences(session);
  const settings = await readDatabaseSettings(session);
  if (kind === 'content' || share) await lockTables(session, lockTimeout, alone);
  if (share) await requireUntouched(session, alone ?? ownSchemas(schemas.keys(), others));

  const leftOut = await leftOutOf(session, alone ?? []);
  if (details.kind === 'pass') sayLeftOut(alone, leftOut, context);
  const extent: Extent = {
    snapshot: snapshot.id,
    schemas: alone,
    extensions: (alone ?? []).flatMap((name) => leftOut(name).extensions),
    excluded: alone ? [] : [...excluded],
    withoutRows: alone || (details.kind === 'pass' && others.length > mostNamed) ? [] : others,
  };
  const { body: archive, unread } = await beginArchive(dump(setup, tool, session, attempt, extent, context));
  const count = kind === 'none' ? undefined : await prepareFingerprints(session, kind, context);
  const reader = new UnitReader(count, {
    ...snapshot.facts,
    tool: `${tool.name} ${tool.version}`,
    settings,
    references,
    leftOut: (schema) => leftOut(schema).objects,
    largeObjects: typeof setup.options.largeObjects === 'string' ? undefined : 'owner',
    units: new Map(job.units.map((unit) => [schemaOf(unit) ?? '', unit.name])),
  });
  if (unread !== undefined) {
    await archive.return?.();
    if (details.kind === 'pass') throw notInOnePass(unread, tool);
    // All that is no tenant's is then one archive.
    const own =
      details.kind === 'rest' ? { ...extent, excluded: [...excluded, ...others], withoutRows: [] } : extent;
    const whole = {
      unit: job.units[0]!,
      schemas: alone ?? ownSchemas(schemas.keys(), [...others, ...excluded]),
      version: unread,
      archive: dump(setup, tool, session, attempt, own, context),
    };
    yield* readAsItComes(setup, session, reader, whole, context);
    await session.query('COMMIT');
    return;
  }
  const names = new Map([...schemas.values()].map(({ oid, name }) => [oid, name]));
  // Where tenants have archives of their own, made by pg_dumps of their own, those cannot hold what is in no schema.
  const owners = new EntryOwners(names, details.kind !== 'rest');
  const parts = splitArchive(archive, {
    groups: groups.names,
    groupOf: (entry) => {
      const group = byOwner?.groupOf(entry);
      if (group === undefined) return groups.groupOf(owners.ownerOf(entry), entry);
      return typeof group === 'string' ? group : undefined;
    },
    scratch: () => context.scratch(),
  });
  for await (const { group, body } of parts) {
    const place = byOwner?.placeOf(group) ?? groups.placeOf(group);
    yield* reader.read(place, body, byOwner?.has(place.unit));
  }
  yield* reader.finish(groups.databaseUnit);
  // Proves that the session, and with it the snapshot, lived until here.
  await session.query('COMMIT');
}

/** Schemas that pg_dump alone has to look at, where a person chose some or each is a job; undefined: it is for the whole database. */
function chosenAlone(job: Job): readonly string[] | undefined {
  if (job.units.some((unit) => unit.name === databaseUnitName) || job.units.length > mostNamed)
    return undefined;
  return job.units.map((unit) => schemaOf(unit)!);
}

/** Undefined: large objects are not told apart, or there are none. */
async function largeObjectsByOwner(
  setup: SourceSetup,
  session: Session,
  job: Job,
  details: JobDetails,
): Promise<LargeObjectGroups | undefined> {
  if (typeof setup.options.largeObjects === 'string') return undefined;
  if ((await countLargeObjects(session)) === 0) return undefined;
  const { schemaOf: schemas } = await schemaOwners(session, details.tenants);
  return new LargeObjectGroups(job.units, schemas);
}

/** Schemas that are units of the plan, and not of the job. */
function unchosen(job: Job, details: JobDetails): readonly string[] {
  const chosen = new Set(job.units.map((unit) => schemaOf(unit)));
  return details.tenants.filter((name) => !chosen.has(name));
}

function ownSchemas(all: Iterable<string>, others: readonly string[]): readonly string[] {
  const foreign = new Set(others);
  return [...all].filter((name) => !foreign.has(name));
}

function sayLeftOut(
  alone: readonly string[] | undefined,
  leftOut: Awaited<ReturnType<typeof leftOutOf>>,
  context: ReadContext,
): void {
  for (const schema of alone ?? []) {
    const { objects } = leftOut(schema);
    if (objects.length === 0) continue;
    context.log.warn(
      `the backup of schema ${showName(schema)} alone lacks what pg_dump cannot be told to add: ${objects.map((what) => showName(what)).join(', ')}. A backup of all units has it.`,
    );
  }
}
