import { type Job, type ReadContext, type SourceItem } from '@pgsilo/plugin';
import {
  Attempt, connectionForPrograms, EntryOwners, findTool, lockTables, prepareFingerprints, produce, quoteIdentifier, readDatabaseSettings, refuseStandstill, showName, splitArchive,
  takeSnapshot,
} from '@pgsilo/postgres'; // prettier-ignore
import { Groups } from './groups.ts';
import { requireNoLargeObjects } from './large-objects.ts';
import { requireLocks } from './locks.ts';
import { excludedSchemas } from './plan.ts';
import { crossReferences } from './references.ts';
import { listSchemas } from './schemas.ts';
import { databaseOf, type SourceSetup } from './setup.ts';
import { databaseUnitName, schemaOf } from './units.ts';
import { UnitReader } from './unit-reader.ts';

/** Backs up the units of a job from one pg_dump of their database, whose archive is split on its way. */
export async function* readJob(
  setup: SourceSetup,
  open: Set<Attempt>,
  job: Job,
  context: ReadContext,
): AsyncGenerator<SourceItem> {
  const attempt = new Attempt(setup.settings, context);
  open.add(attempt);
  try {
    yield* readUnits(setup, attempt, job, context);
    await attempt.finish();
  } finally {
    await attempt.abandon();
    open.delete(attempt);
  }
}

async function* readUnits(
  setup: SourceSetup,
  attempt: Attempt,
  job: Job,
  context: ReadContext,
): AsyncGenerator<SourceItem> {
  const { fingerprint: kind, lockTimeout } = setup.options;
  const database = databaseOf(setup);
  const session = await attempt.open(database, 'back up');
  const tool = await findTool('pg_dump', session.major, setup.programs, context.signal);
  const snapshot = await takeSnapshot(session);
  const schemas = await listSchemas(session);
  const excluded = excludedSchemas(setup, schemas);
  const groups = new Groups(job.units, schemas, excluded);
  const alone = chosenAlone(job);
  // Of chosen schemas alone pg_dump dumps no large objects, and locks few tables.
  if (!alone) {
    await requireNoLargeObjects(setup, session);
    await requireLocks(session);
  }
  const references = await crossReferences(session);
  const settings = await readDatabaseSettings(session);
  if (kind !== 'none') await lockTables(session, lockTimeout, alone);

  const connection = connectionForPrograms(setup, session.settings, database, attempt.applicationName);
  const args = [
    '--format=custom',
    // The pipeline compresses; twice would cost more and save nothing.
    '--compress=0',
    '--no-password',
    `--snapshot=${snapshot.id}`,
    `--lock-wait-timeout=${Math.ceil(lockTimeout)}`,
    // A restore runs ANALYZE: statistics of the old server's version would only be thrown away.
    ...(tool.major >= 18 ? ['--no-statistics'] : []),
    ...(alone ? ['--strict-names', ...alone.map((name) => `--schema=${quoteIdentifier(name)}`)] : []),
    ...[...excluded].map((name) => `--exclude-schema=${quoteIdentifier(name)}`),
    connection.argument,
  ];
  const archive = attempt.watch(
    refuseStandstill(
      produce(tool, args, {
        doing: `pg_dump of database ${showName(database)}`,
        env: connection.env,
        signal: attempt.signal,
        onStderr: (line) => context.log.warn(line, { database }),
      }),
      session,
      attempt.applicationName,
      context,
    ),
  );
  const owners = new EntryOwners(new Map([...schemas.values()].map(({ oid, name }) => [oid, name])));
  const parts = splitArchive(archive, {
    groups: groups.names,
    groupOf: (entry) => groups.groupOf(owners.ownerOf(entry), entry),
    scratch: () => context.scratch(),
  });
  const count = kind === 'none' ? undefined : await prepareFingerprints(session, kind, context);
  const reader = new UnitReader(count, {
    ...snapshot.facts,
    tool: `${tool.name} ${tool.version}`,
    settings,
    references,
  });
  for await (const { group, body } of parts) yield* reader.read(groups.placeOf(group), body);
  yield* reader.finish(groups.databaseUnit);
  // Proves that the session, and with it the snapshot, lived until here.
  await session.query('COMMIT');
}

/** Schemas that pg_dump alone has to look at, where a person chose some; undefined: it is for the whole database. */
function chosenAlone(job: Job): readonly string[] | undefined {
  if (job.units.some((unit) => unit.name === databaseUnitName)) return undefined;
  // Each is a query of pg_dump's, and its arguments have a limit.
  if (job.units.length > 100) return undefined;
  return job.units.map((unit) => schemaOf(unit)!);
}
