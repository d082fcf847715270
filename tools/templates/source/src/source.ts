import { PgsiloError } from '@pgsilo/plugin';
import type { Setup, Source } from '@pgsilo/plugin';
import type { Options } from './options.ts';

/**
 * What each method promises stands in the contract, `Source` of @pgsilo/plugin. @pgsilo/postgres has what sources share: connections, client programs,
 * quoting, archives, fingerprints; plugins/source-database-per-tenant shows how they fit together.
 */
export function createNewcomerSource(_options: Options, _setup: Setup): Source {
  return {
    async plan(_history, _context) {
      throw unwritten(
        'plan',
        'list the units, grouped into jobs; an unreachable server throws source.unreachable',
      );
    },
    // oxlint-disable-next-line require-yield -- to be written
    async *read(_job, _context) {
      throw unwritten(
        'read',
        "yield each unit's artifacts and facts; a body ends only after its producer has exited with 0",
      );
    },
    async restore(_request, _context) {
      throw unwritten('restore', 'look at backup and target, and return what run() would do');
    },
    // oxlint-disable-next-line require-yield -- to be written
    async *check(_context) {
      throw unwritten('check', 'tell of tools, server, privileges and settings');
    },
    async close() {},
  };
}

function unwritten(method: string, what: string): PgsiloError {
  return new PgsiloError('internal', `plugins/source-newcomer/src/source.ts: write ${method}() to ${what}`);
}
