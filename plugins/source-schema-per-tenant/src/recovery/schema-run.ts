import {
  isPgsiloError,
  PgsiloError,
  throwIfAborted,
  toPgsiloError,
  type RestoreOutcome,
} from '@pgsilo/plugin';
import {
  archiveRows, asRestoreError, compareFingerprintWithin, copyIn, quoteIdentifier, quoteLiteral, showName, sqlState, terminateSessions, tokens, transactionOutcome,
  nameOf, placesOf, type TocEntry,
} from '@pgsilo/postgres'; // prettier-ignore
import { definitionsOf, restOf, runEntries, tryEntries, type EntryJob, type LeftEntry } from './entries.ts';
import { restoreLargeObjects } from './large-objects.ts';
import { markSchema } from './mark.ts';
import { isThere } from './one-database.ts';
import type { PreparedSchema } from './prepared.ts';

/** Of units that wait for each other's locks. Three of them in a row is no accident any more. */
const mostTries = 3;
const deadlock = '40P01';
/** How long a unit waits for a lock of another one, in milliseconds: as long as that one may take to check its foreign keys. */
const lockTimeout = 4 * 3600_000;

/** How far a restore has come, for whoever has to say what became of it. */
interface Progress {
  /** The transaction's number, once it is about to be committed. */
  committing?: string;
}

/** Restores a schema in one transaction: nobody sees it before it is whole and compared, and whatever ends this process undoes it. */
export async function runSchema(prepared: PreparedSchema): Promise<RestoreOutcome> {
  const { session, context, request } = prepared;
  for (let tries = 1; ; tries += 1) {
    const progress: Progress = {};
    try {
      await restoreLargeObjects(prepared);
      const { compared, left } = await inTransaction(prepared, progress);
      const waiting = left.map(({ entry, why }) => `${entry.desc} ${showName(entry.tag)}: ${why}`);
      for (const what of waiting)
        context.log.info('left until other units are there', { unit: request.backup.unit.name, what });
      return { target: session.database, compared, warnings: prepared.warnings, next: [] };
    } catch (error) {
      const again = isPgsiloError(error) && sqlState(error.cause) === deadlock && tries < mostTries;
      if (!again) throw await undone(prepared, progress, error);
      await session.query('ROLLBACK');
    }
  }
}

async function inTransaction(
  prepared: PreparedSchema,
  progress: Progress,
): Promise<{ readonly compared: string; readonly left: readonly LeftEntry[] }> {
  const { session, request, context, schema, toc, needs } = prepared;
  const { unit, id: backup } = request.backup;
  const job: EntryJob = { ...prepared, owner: request.owner };
  // Where the manifest knows of no other schema that it needs, whatever fails is wrong.
  const make = needs.needsSchemas.length > 0 ? tryEntries : runStrictly;
  const left: LeftEntry[] = [];
  await session.query('BEGIN');
  await session.query(`SET LOCAL lock_timeout = ${lockTimeout}`);
  await refuseSecond(prepared);
  await request.step('restore the data', async () => {
    left.push(...(await make(job, definitionsOf(toc.entries))));
    refuseRowless(toc.entries, left);
    await restoreRows(prepared);
  });
  const compared = await request.step('compare with the fingerprint', () => compare(prepared));
  const { own, foreign } = byReference(restOf(toc.entries), schema);
  await request.step('build indexes and constraints', async () => left.push(...(await make(job, own))));
  await request.step('analyze', () => analyze(prepared));
  await request.step('commit', async () => {
    if (foreign.length > 0) {
      // A foreign key locks the table that it points at until COMMIT: late, and one unit at a time, so that none waits for one that waits for it.
      await session.query(
        `SELECT pg_advisory_xact_lock(hashtextextended('pgsilo restore: foreign keys', 0))`,
      );
      left.push(...(await make(job, foreign)));
    }
    if (left.length > 0)
      await markSchema(session, schema, {
        unit: unit.name,
        backup,
        left: left.map(({ entry }) => entry.dumpId),
      });
    throwIfAborted(context.signal);
    // Should this machine vanish without a word, the server must not keep the locks for the minutes that TCP takes to notice.
    await session.query("SET LOCAL idle_in_transaction_session_timeout = '10s'");
    const [row] = await session.query<{ id: string }>('SELECT pg_current_xact_id()::text AS id');
    progress.committing = row!.id;
    await session.query('COMMIT');
    delete progress.committing;
  });
  return { compared, left };
}

async function runStrictly(job: EntryJob, entries: readonly TocEntry[]): Promise<readonly LeftEntry[]> {
  await runEntries(job, entries);
  return [];
}

/** Two restores of one schema would wait for each other for as long as one of them takes. */
async function refuseSecond({ session, schema }: PreparedSchema): Promise<void> {
  const [row] = await session.query<{ taken: boolean }>(
    `SELECT pg_try_advisory_xact_lock(('x' || substr(md5('pgsilo restore ' || $1), 1, 16))::bit(64)::bigint) AS taken`,
    [schema],
  );
  if (!row!.taken)
    throw new PgsiloError('restore.refused', `another restore of schema ${showName(schema)} is running`, {
      hint: 'Wait for it to end.',
    });
  if (await isThere(session, schema))
    throw new PgsiloError(
      'restore.target-exists',
      `schema ${showName(schema)} was made by somebody else meanwhile`,
      {
        hint: 'Run the same command again: it compares it with the backup.',
      },
    );
}

/** Rows cannot be left until later: without their table the unit is not there. */
function refuseRowless(entries: readonly TocEntry[], left: readonly LeftEntry[]): void {
  const byId = new Map(left.map((each) => [each.entry.dumpId, each]));
  for (const { section, dependencies } of entries) {
    const lacking = section === 'data' ? dependencies.map((id) => byId.get(id)).find(Boolean) : undefined;
    if (!lacking) continue;
    throw new PgsiloError(
      'restore.failed',
      `${lacking.entry.desc} ${showName(lacking.entry.tag)}, which has rows, needs what is not there: ${lacking.why}`,
      {
        cause: lacking.error,
        hint: 'Restore the unit that brings it first, and run the same command again.',
      },
    );
  }
}

/** Foreign keys into other schemas, with what is said about them, apart from all else. */
function byReference(
  entries: readonly TocEntry[],
  schema: string,
): { readonly own: readonly TocEntry[]; readonly foreign: readonly TocEntry[] } {
  const keys = new Set<number>();
  for (const entry of entries)
    if (entry.desc === 'FK CONSTRAINT' && referencedSchema(entry) !== schema) keys.add(entry.dumpId);
  const isForeign = ({ dumpId, dependencies }: TocEntry): boolean =>
    keys.has(dumpId) || dependencies.some((id) => keys.has(id));
  return {
    own: entries.filter((entry) => !isForeign(entry)),
    foreign: entries.filter(isForeign),
  };
}

function referencedSchema({ definition }: TocEntry): string | undefined {
  const words = tokens(definition);
  const at = placesOf(words, 'REFERENCES')[0];
  return at === undefined ? undefined : nameOf(words[at + 1]);
}

/** The rows of all tables, and where the sequences stand. */
async function restoreRows({ session, toc, archive, context }: PreparedSchema): Promise<void> {
  const tables = new Map(
    toc.entries.filter(({ desc }) => desc === 'TABLE DATA').map((entry) => [entry.dumpId, entry]),
  );
  for await (const { dumpId, rows } of archiveRows(archive)) {
    const { copyStatement, tag } = tables.get(dumpId)!;
    const statement = copyStatement.trimEnd();
    if (!statement.endsWith(' FROM stdin;'))
      throw new PgsiloError(
        'source.archive-invalid',
        `rows of table ${showName(tag)} are not in COPY's form`,
      );
    const encoded = `${statement.slice(0, -1)} WITH (ENCODING ${quoteLiteral(toc.encoding)})`;
    await copyIn(session, encoded, rows, `rows of table ${showName(tag)}`, context.signal);
  }
  for (const { desc, definition } of toc.entries)
    if (desc === 'SEQUENCE SET') await session.query(definition);
}

async function compare({ session, context, fingerprint }: PreparedSchema): Promise<string> {
  if (!fingerprint) return 'nothing, because the backup has no fingerprint';
  // Large objects are the whole database's.
  const own = { ...fingerprint, largeObjects: 0 };
  const { compared, differences } = await compareFingerprintWithin(session, own, context);
  if (differences.length === 0) return compared;
  throw new PgsiloError(
    'restore.mismatch',
    `what was restored is not what the backup's fingerprint says:\n${differences.map((each) => `- ${each}`).join('\n')}`,
    { hint: 'Try another backup (--before) or sink (--from), and pgsilo verify --level decode.' },
  );
}

async function analyze({ session, schema }: PreparedSchema): Promise<void> {
  const tables = await session.query<{ name: string }>(
    `SELECT c.relname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'm')`,
    [schema],
  );
  for (const { name } of tables)
    await session.query(`ANALYZE ${quoteIdentifier(schema)}.${quoteIdentifier(name)}`);
}

/** Makes sure that the server has undone it, and says what became of it. */
async function undone(
  prepared: PreparedSchema,
  { committing }: Progress,
  thrown: unknown,
): Promise<PgsiloError> {
  const { session, applicationName, schema, largeObjects } = prepared;
  const failure = asRestoreError(thrown);
  let note =
    largeObjects.length > 0
      ? 'Nothing of it was left behind but its large objects, which the next call makes anew.'
      : 'Nothing of it was left behind.';
  try {
    await session.query('ROLLBACK').catch(() => undefined);
    await session.close();
    await terminateSessions({ ...session.settings, database: session.database }, applicationName, 60_000);
    if (committing !== undefined && (await transactionOutcome(session, committing)) === 'committed')
      note = `All of it had been done by then: schema ${showName(schema)} is there.`;
  } catch (error) {
    note = `The server could not be asked what became of it (${toPgsiloError(error).message}); unless its COMMIT was reached, the server undoes it by itself.`;
  }
  const join = failure.message.includes('\n') ? '\n' : /[.!?]$/.test(failure.message) ? ' ' : '. ';
  return new PgsiloError(failure.code, `${failure.message}${join}${note}`, {
    cause: thrown,
    ...(failure.hint === undefined ? {} : { hint: failure.hint }),
  });
}
