import { createReadStream } from 'node:fs';
import {
  isPgsiloError,
  type Context,
  type FinishedUnit,
  type RestoreRequest,
  type UnfinishedUnit,
} from '@pgsilo/plugin';
import {
  applySettings, applySettingsStatements, artifactOf, findPgRestore, majorVersion, openSession, readSettings, readToc, showName, targetServer, type Session, type TocEntry,
} from '@pgsilo/postgres'; // prettier-ignore
import type { SourceSetup } from '../setup.ts';
import { fetchRowArchives, type RowArchive } from '../row-archives.ts';
import { schemaOf } from '../units.ts';
import { lacksTablespaces } from './conditions.ts';
import {
  endOf,
  entriesAtOnce,
  isOfStatement,
  runEntries,
  tryEntries,
  type EntryJob,
  type LeftEntry,
} from './entries.ts';
import { LaterRows } from './later-rows.ts';
import { markDatabase, markSchema, readDatabaseMark, readSchemaMarks, textOf, type Mark } from './mark.ts';
import { openDatabase } from './one-database.ts';

const nothing: FinishedUnit = { lacks: [], warnings: [] };

/** What the database itself says: its schemas, then what belongs to no tenant, which may need all of them. */
export async function unfinishedUnits(
  { settings }: SourceSetup,
  database: string,
  { signal }: Context,
): Promise<readonly UnfinishedUnit[]> {
  let session: Session;
  try {
    session = await openSession(settings, {
      database,
      applicationName: 'pgsilo restore all',
      purpose: 'look for what is not finished',
      signal,
    });
  } catch (error) {
    if (isPgsiloError(error) && error.code === 'source.unit-missing') return [];
    throw error;
  }
  try {
    const own = await readDatabaseMark(session);
    const marks = [...(await readSchemaMarks(session)).map(({ mark }) => mark), ...(own ? [own] : [])];
    return marks.map(({ unit, backup }) => ({ unit, backup }));
  } finally {
    await session.close();
  }
}

/** Makes what a schema could not have before others were there. */
export async function finishSchema(
  setup: SourceSetup,
  request: RestoreRequest,
  context: Context,
): Promise<FinishedUnit> {
  const schema = schemaOf(request.backup.unit)!;
  return withEntries(setup, request, 'schema.dump', context, async (job, own) => {
    const { session } = job;
    const { entries } = own;
    const marks = await readSchemaMarks(session);
    const mark = marks.find((one) => one.schema === schema && isOf(one.mark, request))?.mark;
    if (!mark) return nothing;
    const comment = commentOf(entries);
    const wanted = chosen(entries, mark).filter((entry) => entry !== comment);
    const rows = await LaterRows.of(request, own, async () => [], mark);
    const remember = async (made: readonly number[]): Promise<void> => {
      const ids = [...made, ...rows.left];
      if (ids.length > 0) return void (await markSchema(session, schema, { ...mark, left: ids }));
      await markSchema(session, schema, undefined);
      // What initdb says of it, of which pg_dump says nothing.
      if (schema === 'public') await session.query(`COMMENT ON SCHEMA public IS 'standard public schema'`);
      if (comment) await runEntries(job, [comment]);
    };
    const left = await makeAll(job, wanted, remember, rows);
    return { lacks: left.map(describe), warnings: [] };
  });
}

/** Makes what belongs to no tenant and needed some; at the very end the database gets its settings, owner and grants, and is open to its users. */
export async function finishDatabase(
  setup: SourceSetup,
  request: RestoreRequest,
  last: boolean,
  context: Context,
): Promise<FinishedUnit> {
  return withEntries(setup, request, 'database.dump', context, async (job, own) => {
    const { session } = job;
    const { entries } = own;
    const mark = await readDatabaseMark(session);
    if (!mark || !isOf(mark, request)) return nothing;
    const ends = new Set(endOf(entries));
    const all = chosen(entries, mark);
    const atEnd = chosen([...ends], mark);
    const later = last ? [] : atEnd.map(({ dumpId }) => dumpId);
    const now = [...all.filter((entry) => !ends.has(entry)), ...(last ? atEnd : [])];
    const archives = (): Promise<readonly RowArchive[]> => fetchRowArchives(request.backup);
    const rows = await LaterRows.of(request, own, archives, mark);
    const remember = async (ids: readonly number[]): Promise<void> => {
      await markDatabase(session, session.database, { ...mark, left: [...ids, ...rows.left, ...later] });
    };
    const left = await makeAll(job, now, remember, rows);
    if (!last) return { lacks: left.map(describe), warnings: [] };
    const open = [...left.map(({ entry }) => entry.dumpId), ...rows.left];
    const rest: Mark = { ...mark, left: open, open: true };
    const settings = await readSettings(request.backup);
    // One transaction: a database that is open and says that nothing is left has all of it.
    const comment = left.length > 0 ? textOf(rest) : settings.comment;
    const { comment: _, ...others } = settings;
    const given = { ...others, ...(comment === undefined ? {} : { comment }) };
    const statements = applySettingsStatements(given, session.database, { owner: request.owner });
    const warnings = await applySettings(
      session,
      // Whoever has changed them since it was opened knows better.
      mark.open ? statements.filter(({ about }) => about === 'comment') : statements,
    );
    return { lacks: left.map(describe), warnings };
  });
}

async function withEntries(
  setup: SourceSetup,
  request: RestoreRequest,
  archiveName: string,
  context: Context,
  work: (job: EntryJob, archive: RowArchive) => Promise<FinishedUnit>,
): Promise<FinishedUnit> {
  const applicationName = `pgsilo restore ${crypto.randomUUID().slice(0, 8)}`;
  const server = targetServer(setup.settings, request);
  const session = await openDatabase(server, request.to!, applicationName, context);
  try {
    const archive = await artifactOf(request.backup, archiveName).spool();
    const toc = await readToc(createReadStream(archive));
    const tool = await findPgRestore(
      setup,
      session.major,
      majorVersion(toc.header.dumpVersion) ?? 0,
      context.signal,
    );
    const tablespaces = (await lacksTablespaces(session, toc.entries)).length === 0;
    const job: EntryJob = { setup, session, tool, archive, owner: request.owner, tablespaces, context };
    return await work(job, { archive, encoding: toc.encoding, entries: toc.entries });
  } finally {
    await session.close();
  }
}

/** Makes entries, some in a transaction; `remember` says in the same one what is left. @returns what could not be made */
async function makeAll(
  job: EntryJob,
  wanted: readonly TocEntry[],
  remember: (left: readonly number[]) => Promise<void>,
  rows: LaterRows,
): Promise<readonly LeftEntry[]> {
  const { session } = job;
  const left: LeftEntry[] = [];
  let from = 0;
  do {
    const next = from + entriesAtOnce;
    await session.query('BEGIN');
    const some = wanted.slice(from, next);
    const definitions = some.filter(({ section }) => section === 'pre-data');
    const absent = await tryEntries(job, definitions, isOfStatement);
    const without = new Set(absent.map(({ entry }) => entry));
    await rows.bring(session, definitions.filter((entry) => !without.has(entry)), job.context); // prettier-ignore
    const others = some.filter(({ section }) => section !== 'pre-data');
    left.push(...absent, ...(await tryEntries(job, others, isOfStatement)));
    const open = [...left.map(({ entry }) => entry), ...wanted.slice(next)];
    await remember(open.map(({ dumpId }) => dumpId));
    await session.query('COMMIT');
    from = next;
  } while (from < wanted.length);
  return left;
}

function chosen(entries: readonly TocEntry[], { left }: Mark): readonly TocEntry[] {
  const wanted = new Set(left);
  // A mark is a comment, which its owner can write: rows it cannot ask for.
  return entries.filter(({ dumpId, section }) => wanted.has(dumpId) && section !== 'data');
}

function isOf(mark: Mark, { backup }: RestoreRequest): boolean {
  return mark.unit === backup.unit.name && mark.backup === backup.id;
}

/** What the schema's own comment says, which stands where the mark is. */
function commentOf(entries: readonly TocEntry[]): TocEntry | undefined {
  const schema = entries.find(({ desc }) => desc === 'SCHEMA');
  return (
    schema &&
    entries.find(({ desc, dependencies }) => desc === 'COMMENT' && dependencies[0] === schema.dumpId)
  );
}

function describe({ entry, why }: LeftEntry): string {
  const { desc, namespace, tag } = entry;
  return `${desc} ${namespace === undefined ? '' : `${showName(namespace)}.`}${showName(tag)}: ${why}`;
}
