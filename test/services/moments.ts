import { join } from 'node:path';
import { processesWith } from './processes.ts';
import { until, type TestServer } from './server.ts';

/** What `pgsilo` is just doing when it is killed. */
export interface Moment {
  /** Gives an object its name; removes one; writes a piece of one, of which half arrives; prints a line; sends a statement to a server. */
  readonly does: 'publishes' | 'removes' | 'writes' | 'says' | 'sends';
  /** Regular expression of the object's path, the line or the statement. */
  readonly what: string;
  /** The how many-th of these; default the first. */
  readonly nth?: number;
  readonly when?: 'before' | 'after';
  /** Default SIGKILL. */
  readonly signal?: 'SIGINT';
}

const preload = join(import.meta.dirname, '..', 'fixtures', 'dying.ts');

/** Environment of a call of `pgsilo` that is to be killed, or interrupted, at this moment. */
export function dyingAt(moment: Moment): Record<string, string> {
  return { NODE_OPTIONS: `--import=${preload}`, DIE: JSON.stringify(moment) };
}

/** Waits until the server and this machine have noticed that the killed command is gone. */
export function nothingRuns(server: TestServer): Promise<boolean> {
  return until('sessions and children of the killed command are gone', async () => {
    const sessions = await server.sessionsOfPgsilo();
    return sessions.length === 0 && (await processesWith(`port='${server.port}'`)).length === 0;
  });
}
