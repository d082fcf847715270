import { setTimeout as sleep } from 'node:timers/promises';
import { PgsiloError } from '@pgsilo/plugin';
import type { ArchiveCommand, ArchiverSetting, ArchiverSetup } from '@pgsilo/plugin';
import { quoteIdentifier, quoteLiteral, type Session } from '@pgsilo/postgres';

import { noteTest } from './wal-queue.ts';

export type WantedSettings = Omit<ArchiverSetup, 'apply'>;

/** How much may be lost where nobody has said otherwise. */
const usualTimeout = '60s';

/** What the server has, and what it takes to archive with the command. What somebody has chosen and does not keep it from archiving stays. */
export async function wantedSettings(
  session: Session,
  { text: bare, isOwn, place, newerThan }: ArchiveCommand,
): Promise<WantedSettings> {
  const system = await readSystem(session);
  const text = system === null ? bare : `${noteTest(system, place, newerThan)} || ${bare}`;
  if (/[\r\n\0]/.test(text))
    throw new PgsiloError('usage.invalid', 'a path with a line break cannot stand in archive_command');
  const rows = await readSettings(session);
  const now = (name: string): string => rows.get(name)?.now ?? '';
  const wanted: Record<string, string> = {
    // With less, a server that archives does not start.
    ...(now('wal_level') === 'minimal' ? { wal_level: 'replica' } : {}),
    archive_mode: now('archive_mode') === 'off' ? 'on' : now('archive_mode'),
    archive_command: text,
    archive_timeout: now('archive_timeout') === '0' ? usualTimeout : `${now('archive_timeout')}s`,
    // From version 15 on; where it is set, the command is not run or the server does not start.
    ...(now('archive_library') === '' ? {} : { archive_library: '' }),
  };
  const settings: ArchiverSetting[] = [];
  for (const [name, value] of Object.entries(wanted)) {
    const { fixed, now: is, restart } = rows.get(name)!;
    const unit = name === 'archive_timeout' && is !== '0' ? 's' : '';
    const setting = { name, now: is + unit, wanted: value, restart };
    // What the server was started with is stronger than what is written into its files.
    if (fixed && setting.now !== value)
      throw new PgsiloError(
        'usage.invalid',
        `${name} was given to the server on its command line, and no other setting counts`,
        { hint: 'Take it out of how the server is started, or change it there.' },
      );
    settings.push(setting);
  }
  const foreign = ['archive_library', 'archive_command']
    .map((name) => ({ name, value: now(name) }))
    .find(
      ({ name, value }) => value !== '' && value !== text && !(name === 'archive_command' && isOwn(value)),
    );
  return { settings, ...(foreign ? { foreign } : {}) };
}

async function readSystem(session: Session): Promise<string | null> {
  const [row] = await session.query<{ system: string | null }>(
    `SELECT CASE WHEN has_function_privilege('pg_control_system()', 'EXECUTE') THEN (SELECT system_identifier::text FROM pg_control_system()) END AS system`,
  );
  return row!.system;
}

interface Row {
  readonly now: string;
  readonly restart: boolean;
  readonly fixed: boolean;
  readonly pending: boolean;
}

async function readSettings(session: Session): Promise<ReadonlyMap<string, Row>> {
  // While archive_mode is off, the server shows "(disabled)" for the command that it has.
  const rows = await session.query<Row & { name: string }>(
    `SELECT name, CASE name WHEN 'archive_command' THEN reset_val ELSE setting END AS now, context = 'postmaster' AS restart,
            source = 'command line' AS fixed, pending_restart AS pending
       FROM pg_settings WHERE name IN ('wal_level', 'archive_mode', 'archive_command', 'archive_timeout', 'archive_library')`,
  );
  return new Map(rows.map(({ name, ...row }) => [name, row]));
}

const reloadTimeout = 5000;

/** Writes them into `postgresql.auto.conf`, which is stronger than `postgresql.conf`, and waits until the server has read it. */
export async function changeSettings(
  session: Session,
  settings: readonly ArchiverSetting[],
): Promise<readonly string[]> {
  const changed = settings.filter(({ now, wanted }) => now !== wanted);
  for (const { name, wanted } of changed)
    await session.query(`ALTER SYSTEM SET ${quoteIdentifier(name)} = ${quoteLiteral(wanted)}`);
  await session.query('SELECT pg_reload_conf()');
  for (const deadline = Date.now() + reloadTimeout; ; await sleep(50)) {
    const rows = await readSettings(session);
    const late = changed.filter(({ name, wanted, restart }) => {
      const row = rows.get(name)!;
      return restart ? !row.pending : row.now !== wanted.replace(/^(\d+)s$/, '$1');
    });
    if (late.length === 0) return [...rows].filter(([, { pending }]) => pending).map(([name]) => name);
    if (Date.now() > deadline)
      throw new PgsiloError(
        'source.failed',
        `the server was told to read its settings anew, and does not go by ${late.map(({ name }) => name).join(', ')}`,
        { hint: 'Look into its log: a mistake in one of its files keeps it from reading all of them.' },
      );
  }
}
