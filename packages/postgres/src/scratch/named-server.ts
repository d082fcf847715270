import { toPgsiloError, type Context } from '@pgsilo/plugin';
import { isGone, ownIdentity } from '@pgsilo/plugin/process-identity';
import type { ServerSettings } from '../connection.ts';
import { quoteIdentifier } from '../quoting.ts';
import { dropWorking } from '../restore/working-database.ts';
import { openSession, type Session } from '../session.ts';

/** Names of copies: this, the identity of the process that made it, and a number. */
const copyPrefix = 'pgsilo_proof_';
const copyForm = /^pgsilo_proof_([0-9a-f]{16})_(\d+)_(\d+)_\d+$/;
const roleComment = 'made by pgsilo to prove backups, by process ';
const roleForm = /^made by pgsilo to prove backups, by process ([0-9a-f]{16}-\d+-\d+)$/;
const cleanupTimeout = 60_000;

/** The name of a copy says whose it is, so that there is no moment at which it is nobody's. */
export function copyNameOf(number: number): string {
  return `${copyPrefix}${ownIdentity().replaceAll('-', '_')}_${number}`;
}

/** What is said of a role that is made for copies. */
export function commentOfRole(): string {
  return roleComment + ownIdentity();
}

/** Removes copies and roles of processes that are proved gone; what cannot be removed is told and left. */
export async function sweepCopies(session: Session, context: Pick<Context, 'log'>): Promise<void> {
  const databases = await session.query<{ name: string }>(
    'SELECT datname::text AS name FROM pg_database WHERE datname ~ $1',
    [`^${copyPrefix}`],
  );
  for (const { name } of databases) {
    const [, space, pid, start] = copyForm.exec(name) ?? [];
    if (space !== undefined && isGone(`${space}-${pid}-${start}`))
      await attempt(context, { database: name }, () => dropWorking(session, name));
  }
  const roles = await session.query<{ name: string; comment: string }>(
    `SELECT rolname::text AS name, shobj_description(oid, 'pg_authid') AS comment FROM pg_roles
      WHERE shobj_description(oid, 'pg_authid') LIKE $1`,
    [`${roleComment}%`],
  );
  const left = roles
    .filter(({ comment }) => isGone(roleForm.exec(comment)?.[1] ?? ''))
    .map(({ name }) => name);
  await dropRoles(session, left, context);
}

/** Drops roles that own nothing any more. */
export async function dropRoles(
  session: Session,
  names: readonly string[],
  context: Pick<Context, 'log'>,
): Promise<void> {
  for (const name of names)
    await attempt(context, { role: name }, () =>
      session.query(`DROP ROLE IF EXISTS ${quoteIdentifier(name)}`),
    );
}

async function attempt(
  { log }: Pick<Context, 'log'>,
  fields: Readonly<Record<string, string>>,
  work: () => Promise<unknown>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    log.warn('could not remove what was made to prove a backup', {
      ...fields,
      error: toPgsiloError(error).message,
    });
  }
}

/** A session for cleaning up: also after an abort, but not for ever. */
export function openCleanup(server: ServerSettings): Promise<Session> {
  return openSession(server, {
    applicationName: 'pgsilo cleanup',
    purpose: 'remove what was made to prove a backup',
    signal: AbortSignal.timeout(cleanupTimeout),
  });
}
