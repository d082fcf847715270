import { isPgsiloError, type Context, type PgsiloError } from '@pgsilo/plugin';
import { archiveScript, runBytes, sqlState, type Session, type TocEntry, type Tool } from '@pgsilo/postgres';
import type { SourceSetup } from '../setup.ts';

/** What entries of an archive are made with. */
export interface EntryJob {
  readonly setup: SourceSetup;
  readonly session: Session;
  readonly tool: Tool;
  /** Path of the archive. */
  readonly archive: string;
  readonly owner: boolean;
  readonly tablespaces: boolean;
  readonly context: Context;
}

/** An entry that could not be made now. */
export interface LeftEntry {
  readonly entry: TocEntry;
  /** The server's words. */
  readonly why: string;
  readonly error: PgsiloError;
}

/** Kinds of entries that say how the others are read; the session is told otherwise. */
const preamble = new Set(['ENCODING', 'STDSTRINGS', 'SEARCHPATH']);

/**
 * What the server says where something that another unit brings is not there: no such table, column, function, object or schema, or the rows that a foreign key points at.
 */
const wanting = new Set(['42P01', '42703', '42883', '42704', '3F000', '23503']);

/** Entries by the transaction, where it need not be one: each holds locks on what it makes until its end. */
export const entriesAtOnce = 500;

/** Kinds of entries that act on what the tenants bring, or on the commands that bring it: for the end. */
const last = new Set([
  'EVENT TRIGGER', 'PUBLICATION', 'PUBLICATION TABLE', 'PUBLICATION TABLES IN SCHEMA', 'SUBSCRIPTION', 'SUBSCRIPTION TABLE',
]); // prettier-ignore

/** What is made when all units are there, with what is said about it; event triggers at the very end, because they see what is made behind them. */
export function endOf(entries: readonly TocEntry[]): readonly TocEntry[] {
  const [found, triggers] = [new Set<number>(), new Set<number>()];
  for (const { desc, dumpId, dependencies } of entries) {
    const about = desc === 'COMMENT' || desc === 'SECURITY LABEL' ? dependencies : [];
    if (desc === 'EVENT TRIGGER' || about.some((id) => triggers.has(id))) triggers.add(dumpId);
    else if (last.has(desc) || about.some((id) => found.has(id))) found.add(dumpId);
  }
  return [found, triggers].flatMap((ids) => entries.filter(({ dumpId }) => ids.has(dumpId)));
}

/** What runs before the rows, by the archive's order. */
export function definitionsOf(entries: readonly TocEntry[]): readonly TocEntry[] {
  return entries.filter(({ section, desc }) => section === 'pre-data' && !preamble.has(desc));
}

/** Rows, and where sequences stand. */
export function dataOf(entries: readonly TocEntry[]): readonly TocEntry[] {
  return entries.filter(({ section }) => section === 'data');
}

/** What runs behind the rows: grants and comments too. */
export function restOf(entries: readonly TocEntry[]): readonly TocEntry[] {
  return entries.filter(
    ({ section, desc }) => (section === 'post-data' || section === 'none') && !preamble.has(desc),
  );
}

/** Runs what pg_restore would run for these entries, none of them rows, in the session's transaction. */
export async function runEntries(job: EntryJob, entries: readonly TocEntry[]): Promise<void> {
  if (entries.length === 0) return;
  const { session, context } = job;
  const script = await archiveScript({ ...job, entries }, context);
  await runBytes(session, script.settings, 'settings of the restore', context.signal);
  await runBytes(session, script.statements, 'restore the definitions', context.signal);
  await session.query(
    `SET client_encoding = 'UTF8'; SET standard_conforming_strings = on; SET search_path = pg_catalog`,
  );
}

/**
 * The same, and what the server cannot make because something else is not there is left out and returned, in the archive's order. Any other error is thrown.
 * One script runs as long as all is well; where it fails its halves are tried, so that few that fail among many cost few tries.
 */
export async function tryEntries(
  job: EntryJob,
  entries: readonly TocEntry[],
  tolerated: (error: PgsiloError) => boolean = isWanting,
): Promise<readonly LeftEntry[]> {
  if (entries.length === 0) return [];
  const { session } = job;
  await session.query('SAVEPOINT entries');
  try {
    await runEntries(job, entries);
    await session.query('RELEASE SAVEPOINT entries');
    return [];
  } catch (error) {
    if (!isPgsiloError(error) || !tolerated(error)) throw error;
    await session.query('ROLLBACK TO SAVEPOINT entries; RELEASE SAVEPOINT entries');
    const [only] = entries;
    if (entries.length === 1) return [{ entry: only!, why: wordsOf(error), error }];
  }
  const half = Math.ceil(entries.length / 2);
  const left = await tryEntries(job, entries.slice(0, half), tolerated);
  return [...left, ...(await tryEntries(job, entries.slice(half), tolerated))];
}

/** Whether the server lacks what another unit may bring. */
export function isWanting(error: PgsiloError): boolean {
  return wanting.has(sqlState(error.cause) ?? '');
}

/** Whether it is about the statement rather than about the way to the server. */
export function isOfStatement(error: PgsiloError): boolean {
  const state = sqlState(error.cause);
  return state !== undefined && !/^(?:08|57|53|XX)/.test(state);
}

function wordsOf(error: PgsiloError): string {
  const { message, detail } = error.cause as { readonly message: string; readonly detail?: string };
  return `${message}${detail ? `: ${detail}` : ''}`.replaceAll(/\s*\n\s*/g, ' ');
}
