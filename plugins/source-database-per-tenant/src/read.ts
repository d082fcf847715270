import type { Body, Job, Json, ReadContext, SourceItem, Unit } from '@pgsilo/plugin';
import {
  findTool,
  isGlobals,
  readGlobals,
  observeArchive,
  ownTables,
  prepareFingerprints,
  produce,
  readDatabaseSettings,
  refuseStandstill,
  showName,
  type Fingerprint,
  readInAttempt,
  type Attempt,
  lockTables,
  takeSnapshot,
  connectionForPrograms,
} from '@pgsilo/postgres';
import { explainByteNames } from './byte-names.ts';
import { excludeArguments, requireWithoutData, tablesWithoutData } from './excluded-data.ts';
import { databaseOf } from './plan.ts';
import type { SourceSetup } from './setup.ts';

/** Backs up the units of a job, one after another. */
export async function* readJob(
  setup: SourceSetup,
  open: Set<Attempt>,
  job: Job,
  context: ReadContext,
): AsyncGenerator<SourceItem> {
  for (const unit of job.units)
    yield* readInAttempt(setup.settings, open, context, (attempt) =>
      isGlobals(unit)
        ? readGlobals(setup, attempt, context)
        : readDatabase(setup, unit, sizeOf(job), attempt, context),
    );
}

/** What the database holds, indexes included: a dump is rarely larger. Stores choose the size of their parts by it. */
function sizeOf({ units, estimatedBytes }: Job): Pick<Job, 'estimatedBytes'> {
  return units.length === 1 && estimatedBytes !== undefined ? { estimatedBytes } : {};
}

async function* readDatabase(
  setup: SourceSetup,
  unit: Unit,
  size: Pick<Job, 'estimatedBytes'>,
  attempt: Attempt,
  context: ReadContext,
): AsyncGenerator<SourceItem> {
  const { fingerprint: kind, lockTimeout, excludeTableData: patterns = [] } = setup.options;
  const database = databaseOf(unit);
  const session = await attempt.open(database, 'back up');
  const tool = await findTool('pg_dump', session.major, setup.programs, context.signal);
  const snapshot = await takeSnapshot(session);
  const settings = await readDatabaseSettings(session);
  const withoutData = await tablesWithoutData(session, patterns);
  const explained = (error: unknown): never => {
    throw explainByteNames(error, database);
  };
  if (kind === 'content') await lockTables(session, lockTimeout).catch(explained);
  // The archive would name a table that no restore can find to count.
  else if (kind === 'counts' && settings.encoding === 'SQL_ASCII') await ownTables(session).catch(explained);

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
    ...excludeArguments(withoutData),
    connection.argument,
  ];
  const archive = observeArchive(
    produce(tool, args, {
      doing: `pg_dump of database ${showName(database)}`,
      env: connection.env,
      signal: attempt.signal,
      onStderr: (line) => context.log.warn(line, { unit: unit.name }),
    }),
  );
  const take = kind === 'none' ? undefined : await prepareFingerprints(session, kind, context);
  const taking = take?.(archive);
  yield {
    type: 'artifact',
    unit: unit.name,
    name: 'database.dump',
    format: 'pg-custom',
    body: attempt.watch(
      kind === 'content'
        ? refuseStandstill(archive.body, session, attempt.applicationName, context)
        : archive.body,
    ),
    ...size,
  };
  attempt.requireRead('database.dump');
  requireWithoutData(await archive.toc, withoutData);

  const fingerprint = await taking;
  if (fingerprint instanceof Error) throw explainByteNames(fingerprint, database);
  yield jsonArtifact(unit, 'settings.json', settings);
  if (fingerprint) yield jsonArtifact(unit, 'fingerprint.json', fingerprint);
  // Proves that the session, and with it the snapshot, lived until here.
  await session.query('COMMIT');
  yield {
    type: 'facts',
    unit: unit.name,
    facts: {
      status: 'good',
      ...snapshot.facts,
      tool: `${tool.name} ${tool.version}`,
      about: { ...aboutOf(fingerprint), ...(patterns.length > 0 ? { excludeTableData: patterns } : {}) },
    },
  };
}

function jsonArtifact(unit: Unit, name: string, content: object): SourceItem {
  const text = `${JSON.stringify(content, undefined, 1)}\n`;
  return {
    type: 'artifact',
    unit: unit.name,
    name,
    format: 'json',
    body: bodyOf(text),
    estimatedBytes: Buffer.byteLength(text),
  };
}

async function* bodyOf(text: string): Body & AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

function aboutOf(fingerprint: Fingerprint | undefined): Record<string, Json> {
  if (!fingerprint) return {};
  const rows = fingerprint.tables.reduce((sum, table) => sum + BigInt(table.rows), 0n);
  return {
    tables: fingerprint.tables.length,
    rows: rows <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(rows) : rows.toString(),
  };
}
