import { PgsiloError, throwIfAborted } from '@pgsilo/plugin';
import {
  archiveLargeObjects, hasWords, isWord, listed, plural, quoteIdentifier, showName, statements, type LargeObjectPiece, type Session, type TocEntry, type Token,
} from '@pgsilo/postgres'; // prettier-ignore
import { notOf, requireAll } from './live-large-objects.ts';
import type { PreparedLiveRestore } from './live-restore.ts';
import { preamble, runEntries } from './live-statements.ts';
import { countOf } from './restored-large-objects.ts';

/** What one message to the server carries at most. */
const mostBytes = 1024 * 1024;
const mostPieces = 1000;

/**
 * Brings the contents of a backup's large objects to the server, into tables of the session that end with its transaction, and gives numbers to those whose own are taken. What has to be
 * done under locks is then done within the server. Returns what a person should know.
 */
export async function stageLargeObjects({
  session,
  context,
  schema,
  largeObjects,
}: PreparedLiveRestore): Promise<readonly string[]> {
  const { archives, replacedOf } = largeObjects;
  await session.query(
    `CREATE TEMPORARY TABLE pgsilo_numbers (id oid PRIMARY KEY, now oid NOT NULL) ON COMMIT DROP;
     CREATE TEMPORARY TABLE pgsilo_pieces (id oid, at int8, data bytea) ON COMMIT DROP`,
  );
  let found = 0;
  for (const { archive, oids } of archives) {
    const own = new Set(oids);
    for await (const pieces of batches(archiveLargeObjects(archive))) {
      for (const { oid, at } of pieces) {
        if (!own.has(String(oid)))
          throw new PgsiloError(
            'source.archive-invalid',
            `content of large object ${oid}, which the archive does not make`,
          );
        if (at === 0) found += 1;
      }
      throwIfAborted(context.signal);
      await session.query(
        'INSERT INTO pg_temp.pgsilo_pieces SELECT * FROM unnest($1::oid[], $2::int8[], $3::bytea[])',
        [
          pieces.map(({ oid }) => oid),
          pieces.map(({ at }) => at),
          pieces.map(({ bytes }) => Buffer.from(bytes)),
        ],
      );
    }
  }
  requireAll(found, countOf(archives));
  const renumbered = await session.query<{ id: string; now: string }>(
    `INSERT INTO pg_temp.pgsilo_numbers SELECT m.oid, lo_create(0) FROM pg_largeobject_metadata m WHERE m.oid = ANY ($1::oid[]) AND ${notOf('$2')}
     RETURNING id::text AS id, now::text AS now`,
    [archives.flatMap(({ oids }) => oids), replacedOf ?? null],
  );
  if (renumbered.length === 0) return [];
  const columns = await rewrite(session, schema);
  const shown = renumbered.map(({ id, now }) => `${id} is ${now}`);
  const where =
    columns.length > 0
      ? `written into ${listed(columns)}`
      : 'the schema has no column of type oid or lo to write them into';
  return [
    `CAREFUL: the numbers of ${plural(renumbered.length, 'large object')} were taken, and they have others: ${listed(shown, 5)}; ${where}. What says the old numbers elsewhere (text, arrays, functions, other programs) means another's`,
  ];
}

/** Makes the large objects, with owners, rights and comments, and fills them. */
export async function placeLargeObjects(prepared: PreparedLiveRestore): Promise<void> {
  const { session, largeObjects } = prepared;
  const { archives } = largeObjects;
  const rows = await session.query<{ id: string; now: string }>(
    'SELECT id::text AS id, now::text AS now FROM pg_temp.pgsilo_numbers',
  );
  const numbers = new Map(rows.map(({ id, now }) => [id, now]));
  const define = async (wanted: (entry: TocEntry) => boolean): Promise<void> => {
    for (const { archive, toc } of archives)
      await runEntries(prepared, toc.entries.filter(wanted), {
        archive,
        edit: (sql) => renumber(sql, numbers),
      });
  };
  await define(({ desc }) => desc === 'BLOB METADATA');
  await session.query(
    `SELECT count(*) FROM (
       SELECT lo_put(coalesce(n.now, p.id), p.at, p.data) FROM pg_temp.pgsilo_pieces p LEFT JOIN pg_temp.pgsilo_numbers n USING (id) WHERE p.data <> '' OFFSET 0) AS done`,
  );
  // Rights last: they may leave the owner none to write with.
  await define(({ desc }) => desc !== 'BLOB METADATA' && desc !== 'BLOBS' && !preamble.has(desc));
  const [made] = await session.query<{ count: number }>(
    'SELECT count(*)::int4 AS count FROM pg_largeobject_metadata WHERE oid = ANY ($1::oid[])',
    [archives.flatMap(({ oids }) => oids.map((oid) => numbers.get(oid) ?? oid))],
  );
  requireAll(made!.count, countOf(archives));
}

/** Pieces by the message: a round trip for each of a thousand small objects would take longer than they do. */
async function* batches(
  pieces: AsyncIterable<LargeObjectPiece>,
): AsyncGenerator<readonly LargeObjectPiece[]> {
  let batch: LargeObjectPiece[] = [];
  let bytes = 0;
  for await (const piece of pieces) {
    batch.push(piece);
    bytes += piece.bytes.byteLength;
    if (bytes < mostBytes && batch.length < mostPieces) continue;
    yield batch;
    batch = [];
    bytes = 0;
  }
  if (batch.length > 0) yield batch;
}

/** Writes new numbers where large objects are referred to by the types that are made for it. Returns the columns. */
async function rewrite(session: Session, schema: string): Promise<readonly string[]> {
  const columns = await session.query<{ relation: string; name: string }>(
    `WITH RECURSIVE kinds AS (
       SELECT 'pg_catalog.oid'::regtype::oid AS oid UNION SELECT t.oid FROM pg_type t JOIN kinds k ON t.typbasetype = k.oid WHERE t.typtype = 'd'
     )
     SELECT c.relname::text AS relation, a.attname::text AS name
       FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = $1 AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.atttypid IN (SELECT oid FROM kinds)
      ORDER BY 1, a.attnum`,
    [schema],
  );
  for (const { relation, name } of columns) {
    const table = `${quoteIdentifier(schema)}.${quoteIdentifier(relation)}`;
    const column = quoteIdentifier(name);
    await session.query(
      `UPDATE ONLY ${table} AS t SET ${column} = n.now FROM pg_temp.pgsilo_numbers n WHERE t.${column} = n.id`,
    );
  }
  return columns.map(({ relation, name }) => `${showName(relation)}.${showName(name)}`);
}

/** What pg_restore says of large objects, about those that have another number: made they are by now. Bytes stay what they are. */
function renumber(sql: Uint8Array, numbers: ReadonlyMap<string, string>): Uint8Array {
  if (numbers.size === 0) return sql;
  const text = Buffer.from(sql).toString('latin1');
  let result = '';
  let at = 0;
  for (const statement of statements(text)) {
    const made = createdBy(statement);
    if (made !== undefined && numbers.has(made)) {
      result += text.slice(at, statement[0]!.start);
      at = statement.at(-1)!.end;
      continue;
    }
    const place = statement.findIndex((_, index) => hasWords(statement, index, 'LARGE', 'OBJECT'));
    const number = place < 0 ? undefined : statement[place + 2];
    const now = number && numbers.get(number.value);
    if (!number || now === undefined) continue;
    result += text.slice(at, number.start) + now;
    at = number.end;
  }
  return Buffer.from(result + text.slice(at), 'latin1');
}

/** The number in `SELECT pg_catalog.lo_create('n')`. */
function createdBy(statement: readonly Token[]): string | undefined {
  const at = statement.findIndex((token) => isWord(token, 'LO_CREATE'));
  return at < 0 || !isWord(statement[0], 'SELECT') ? undefined : statement[at + 2]?.value;
}
