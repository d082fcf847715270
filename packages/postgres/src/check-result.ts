import { toPgsiloError, type CheckResult } from '@pgsilo/plugin';

/** A failure as a line of the report. */
export function failed(name: string, error: unknown): CheckResult {
  const { message, hint } = toPgsiloError(error, 'source.failed');
  return { name, status: 'failed', message, ...(hint === undefined ? {} : { hint }) };
}
