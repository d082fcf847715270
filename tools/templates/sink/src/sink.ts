import { PgsiloError } from '@pgsilo/plugin';
import type { Setup, Sink } from '@pgsilo/plugin';
import type { Options } from './options.ts';

/**
 * What each method promises stands in the contract, `Sink` of @pgsilo/plugin, and docs/writing-a-sink.md goes through it.
 * `takeIn` counts a body, ends it at an abort and keeps its error; `attempt` of errors.ts gives a code to what the store throws.
 */
export function createNewcomerSink(_options: Options, _setup: Setup): Sink {
  return {
    async put(_key, _body, _hint, _context) {
      throw unwritten('put', 'store the body as a new object, all of it or nothing, never over another');
    },
    // oxlint-disable-next-line require-yield -- to be written
    async *get(_key, _range, _context) {
      throw unwritten('get', "give the object's bytes, or those of a range");
    },
    async stat(_key, _context) {
      throw unwritten('stat', 'tell size and time of an object, or throw sink.not-found');
    },
    // oxlint-disable-next-line require-yield -- to be written
    async *list(_prefix, _context) {
      throw unwritten('list', 'give every object whose key begins with the prefix');
    },
    async remove(_keys, _context) {
      throw unwritten('remove', 'remove objects; one that is not there counts as removed');
    },
    // oxlint-disable-next-line require-yield -- to be written
    async *check(_context) {
      throw unwritten(
        'check',
        'yield what `tryOutSink` of @pgsilo/plugin finds, and what else a person should know',
      );
    },
    async close() {
      throw unwritten('close', 'end connections and timers');
    },
  };
}

function unwritten(method: string, what: string): PgsiloError {
  return new PgsiloError('internal', `plugins/sink-newcomer/src/sink.ts: write ${method}() to ${what}`);
}
