import { PgsiloError } from '@pgsilo/plugin';
import type { Setup, Transform } from '@pgsilo/plugin';
import type { Options } from './options.ts';

/**
 * The laws stand in the contract, `Transform` of @pgsilo/plugin. A format that can be cut into blocks, each compressed by itself, needs no more than
 * a `BlockFormat`: `blockTransform` of @pgsilo/plugin/blocks does the rest, as in plugins/transform-gzip.
 */
export function createNewcomerTransform(_options: Options, _setup: Setup): Transform {
  return {
    suffix: '.newcomer',
    async encode(_body, _about, _context) {
      throw unwritten('encode', 'return the changed body and what decode needs to know');
    },
    // oxlint-disable-next-line require-yield -- to be written
    async *decode(_body, _parameters, _context) {
      throw unwritten(
        'decode',
        'undo encode, and throw transform.corrupt for input that was cut or altered at any place',
      );
    },
    byHand(_parameters) {
      throw unwritten('byHand', 'return the stock command that decodes standard input to standard output');
    },
  };
}

function unwritten(method: string, what: string): PgsiloError {
  return new PgsiloError(
    'internal',
    `plugins/transform-newcomer/src/transform.ts: write ${method}() to ${what}`,
  );
}
