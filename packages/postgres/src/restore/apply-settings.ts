import { toPgsiloError } from '@pgsilo/plugin';
import type { SettingStatement } from '../database-statements.ts';
import type { Session } from '../session.ts';
import { listed } from './problems.ts';

/**
 * Runs what gives a working database the settings of the one in the backup, in one transaction. A parameter that the role may not set is left out and
 * reported; owner and grants are not negotiable.
 */
export async function applySettings(
  admin: Session,
  statements: readonly SettingStatement[],
): Promise<readonly string[]> {
  const refused: string[] = [];
  await admin.query('BEGIN');
  try {
    for (const { sql, about } of statements) {
      const optional = about.startsWith('parameter ') || about.startsWith('security label ');
      if (!optional) await admin.query(sql);
      else if (!(await attempt(admin, sql))) refused.push(about);
    }
    await admin.query('COMMIT');
  } catch (error) {
    await admin.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
  return refused.length === 0
    ? []
    : [`the server refused settings of the database, set them by hand: ${listed(refused)}`];
}

async function attempt(admin: Session, sql: string): Promise<boolean> {
  await admin.query('SAVEPOINT setting');
  try {
    await admin.query(sql);
    await admin.query('RELEASE SAVEPOINT setting');
    return true;
  } catch (error) {
    if (toPgsiloError(error).code === 'source.unreachable' || toPgsiloError(error).code === 'aborted')
      throw error;
    await admin.query('ROLLBACK TO SAVEPOINT setting');
    return false;
  }
}
