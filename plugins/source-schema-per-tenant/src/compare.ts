import { createReadStream } from 'node:fs';
import {
  PgsiloError,
  type BackupView,
  type CompareTarget,
  type Comparison,
  type Context,
  type Unit,
} from '@pgsilo/plugin';
import {
  artifactOf, compareFingerprint, compareFingerprintWithin, fingerprintWithout, isGlobals, openSession, parseConnection, readFingerprint, readToc, showName, type Fingerprint, type Session,
  type TocEntry,
} from '@pgsilo/postgres'; // prettier-ignore
import { readDatabaseMark, readSchemaMarks } from './recovery/mark.ts';
import { fetchRowArchives } from './row-archives.ts';
import type { SourceSetup } from './setup.ts';
import { schemaOf } from './units.ts';

/** Compares the schema of a backup, or what belongs to no tenant, in a database that is there, with the backup's fingerprint. */
export async function compareSchema(
  setup: SourceSetup,
  target: CompareTarget,
  backup: BackupView,
  context: Context,
): Promise<Comparison> {
  const fingerprint = isGlobals(backup.unit) ? undefined : await readFingerprint(backup);
  if (!fingerprint)
    throw new PgsiloError(
      'restore.refused',
      `backup ${backup.id} of ${showName(backup.unit.name)} has no fingerprint to compare with`,
      { hint: 'Set fingerprint: counts (the default) or content in the source, for the next backups.' },
    );
  const settings = target.server === undefined ? setup.settings : parseConnection(target.server);
  const session = await openSession(settings, {
    database: target.name,
    applicationName: 'pgsilo compare',
    purpose: `compare with backup ${backup.id}`,
    signal: context.signal,
  });
  try {
    const lacks = schemaOf(backup.unit) === undefined ? await lacksOf(session, backup) : [];
    const wanted = await whatIsThere(session, backup, fingerprint);
    const { compared, differences } = await compareOwn(setup, session, backup.unit, wanted, context);
    return { compared, differences: [...lacks, ...differences] };
  } finally {
    await session.close();
  }
}

/** Without what a restore that is not finished says that it has still to bring. */
async function whatIsThere(
  session: Session,
  backup: BackupView,
  fingerprint: Fingerprint,
): Promise<Fingerprint> {
  const schema = schemaOf(backup.unit);
  const mark =
    schema === undefined
      ? await readDatabaseMark(session)
      : (await readSchemaMarks(session)).find((each) => each.schema === schema)?.mark;
  if (mark?.unit !== backup.unit.name || mark.backup !== backup.id) return fingerprint;
  const left = new Set(mark.left);
  const artifact = artifactOf(backup, schema === undefined ? 'database.dump' : 'schema.dump');
  const { entries } = await readToc(createReadStream(await artifact.spool()), isData);
  const rows = schema === undefined ? await fetchRowArchives(backup) : [];
  const data = [...entries, ...rows.flatMap((archive) => archive.entries)];
  return fingerprintWithout(
    fingerprint,
    data.filter(({ dumpId }) => left.has(dumpId)),
  );
}

/** Compares what is the unit's own in a database that holds all units. */
export async function compareOwn(
  { options }: SourceSetup,
  session: Session,
  unit: Unit,
  fingerprint: Fingerprint,
  context: Context,
): Promise<Comparison> {
  // Large objects are in no schema: whose they are is known where all are the database's.
  if (schemaOf(unit) === undefined && options.largeObjects === 'database')
    return compareFingerprint(session, fingerprint, context);
  await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  try {
    return await compareFingerprintWithin(session, { ...fingerprint, largeObjects: 0 }, context);
  } finally {
    await session.query('ROLLBACK').catch(() => undefined);
  }
}

/** What has no rows to be counted: extensions and schemas of the database itself. Whoever made the database may have made it empty. */
async function lacksOf(session: Session, backup: BackupView): Promise<readonly string[]> {
  const { entries } = await readToc(
    createReadStream(await artifactOf(backup, 'database.dump').spool()),
    isPlace,
  );
  const rows = await session.query<{ desc: string; name: string }>(
    `SELECT 'EXTENSION' AS desc, extname::text AS name FROM pg_extension UNION ALL SELECT 'SCHEMA', nspname::text FROM pg_namespace`,
  );
  const there = new Set(rows.map(({ desc, name }) => `${desc} ${name}`));
  return entries
    .filter(({ desc, tag }) => !there.has(`${desc} ${tag}`))
    .map(({ desc, tag }) => `${desc.toLowerCase()} ${showName(tag)}: not there`);
}

function isData({ section }: TocEntry): boolean {
  return section === 'data';
}

function isPlace({ desc }: TocEntry): boolean {
  return desc === 'EXTENSION' || desc === 'SCHEMA';
}
