import { PgsiloError } from '@pgsilo/plugin';
import {
  archiveRows,
  archiveScript,
  copyIn,
  quoteIdentifier,
  quoteLiteral,
  runBytes,
  showName,
  type TocEntry,
} from '@pgsilo/postgres';
import type { PreparedLiveRestore } from './live-restore.ts';

/** Kinds of entries that say how the others are read; the session is told otherwise. */
export const preamble: ReadonlySet<string> = new Set(['ENCODING', 'STDSTRINGS', 'SEARCHPATH']);

/** Makes the schema itself, and moves extensions that live in it out of the one that stands aside: a database has each of them once. */
export async function restoreSchema(prepared: PreparedLiveRestore): Promise<void> {
  const { session, toc, schema, ties, request } = prepared;
  await runEntries(
    prepared,
    toc.entries.filter(({ desc }) => desc === 'SCHEMA'),
  );
  if (!request.replace) return;
  for (const { name } of ties?.extensions ?? [])
    await session.query(`ALTER EXTENSION ${quoteIdentifier(name)} SET SCHEMA ${quoteIdentifier(schema)}`);
}

/** Types, functions, tables, all without rows. */
export function restoreDefinitions(prepared: PreparedLiveRestore): Promise<void> {
  const moved = movedExtensions(prepared);
  return runEntries(
    prepared,
    prepared.toc.entries.filter(
      (entry) => entry.section === 'pre-data' && entry.desc !== 'SCHEMA' && !moved.has(entry.dumpId),
    ),
  );
}

/** The rows of all tables, and where the sequences stand. */
export async function restoreRows(prepared: PreparedLiveRestore): Promise<void> {
  const { session, toc, archive, context } = prepared;
  const tables = new Map(
    toc.entries.filter(({ desc }) => desc === 'TABLE DATA').map((entry) => [entry.dumpId, entry]),
  );
  for await (const { dumpId, rows } of archiveRows(archive)) {
    const entry = tables.get(dumpId);
    // Of a table that was not chosen.
    if (!entry) for await (const _ of rows) continue;
    else
      await copyIn(
        session,
        copyStatement(entry, toc.encoding),
        rows,
        `rows of table ${showName(entry.tag)}`,
        context.signal,
      );
  }
  for (const { desc, definition } of toc.entries)
    if (desc === 'SEQUENCE SET') await session.query(definition);
}

/** Indexes, constraints, triggers, policies, materialized views, grants, comments: all but what is there by now. */
export function restoreTheRest(prepared: PreparedLiveRestore): Promise<void> {
  const moved = movedExtensions(prepared);
  const isMoved = ({ dependencies }: TocEntry): boolean =>
    dependencies.length > 0 && dependencies.every((id) => moved.has(id));
  return runEntries(
    prepared,
    prepared.toc.entries.filter(
      (entry) =>
        (entry.section === 'post-data' || entry.section === 'none') &&
        !preamble.has(entry.desc) &&
        !isMoved(entry),
    ),
  );
}

/** Entries of extensions that are there already. */
function movedExtensions({ toc, ties }: PreparedLiveRestore): ReadonlySet<number> {
  const there = new Set(ties?.extensions.map(({ name }) => name));
  return new Set(
    toc.entries.filter(({ desc, tag }) => desc === 'EXTENSION' && there.has(tag)).map(({ dumpId }) => dumpId),
  );
}

/**
 * Runs what pg_restore would run for these entries, none of them rows.
 * @param other another archive than that of the schema, and what is to be changed in its SQL
 */
export async function runEntries(
  prepared: PreparedLiveRestore,
  entries: readonly TocEntry[],
  other?: { readonly archive: string; readonly edit: (sql: Uint8Array) => Uint8Array },
): Promise<void> {
  if (entries.length === 0) return;
  const { setup, request, session, tool, context } = prepared;
  const archive = other?.archive ?? prepared.archive;
  const job = { setup, tool, archive, entries, owner: request.owner, tablespaces: true };
  const script = await archiveScript(job, context);
  await runBytes(session, script.settings, 'settings of the restore', context.signal);
  const sql = other ? other.edit(script.statements) : script.statements;
  await runBytes(session, sql, 'restore the definitions', context.signal);
  await session.query(
    `SET client_encoding = 'UTF8'; SET standard_conforming_strings = on; SET search_path = pg_catalog`,
  );
}

/** `COPY … FROM stdin;` as pg_dump wrote it, told which encoding the rows have. */
function copyStatement(entry: TocEntry, encoding: string): string {
  const statement = entry.copyStatement.trimEnd();
  if (!statement.endsWith(' FROM stdin;'))
    throw new PgsiloError(
      'source.archive-invalid',
      `rows of table ${showName(entry.tag)} are not in COPY's form`,
      {
        hint: 'Restore into a new database (--to).',
      },
    );
  return `${statement.slice(0, -1)} WITH (ENCODING ${quoteLiteral(encoding)})`;
}
