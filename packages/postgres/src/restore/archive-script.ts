import { PgsiloError, type Context } from '@pgsilo/plugin';
import type { TocEntry } from '../archive/index.ts';
import { produce } from '../child.ts';
import type { ClientPrograms, Tool } from '../tools.ts';
import { LastWords } from './last-words.ts';
import { archiveOf, writeList } from './pg-restore.ts';

export interface ArchiveScriptJob {
  readonly setup: { readonly programs: ClientPrograms };
  readonly tool: Tool;
  /** Path of the archive. */
  readonly archive: string;
  /** The entries whose SQL is wanted, none of them rows. */
  readonly entries: readonly TocEntry[];
  readonly owner: boolean;
  readonly tablespaces: boolean;
}

/** SQL that pg_restore makes, in the archive's encoding, fit to be sent to a server as it is: see `runBytes`. */
export interface ArchiveScript {
  /** Settings of the session that the rest is read under; run before it, in a message of its own. */
  readonly settings: Uint8Array;
  readonly statements: Uint8Array;
}

/** Definitions of 10,000 tables have 20 MB; they are held in memory, here and in the server. */
const mostBytes = 256 * 2 ** 20;

/** What pg_restore would do with these entries, as SQL. Throws `source.incomplete` when pg_restore fails, `source.archive-invalid` for words of another program. */
export async function archiveScript(
  job: ArchiveScriptJob,
  context: Pick<Context, 'scratch' | 'signal' | 'log'>,
): Promise<ArchiveScript> {
  const args = [
    '--file=-',
    ...(job.owner ? [] : ['--no-owner', '--no-acl']),
    ...(job.tablespaces ? [] : ['--no-tablespaces']),
  ];
  const far = job.setup.programs.exec !== undefined;
  if (!far) args.push(`--use-list=${await writeList(job.entries, context)}`, job.archive);
  const words = new LastWords((line) => context.log.warn(line));
  const body = produce(job.tool, args, {
    doing: 'pg_restore into SQL',
    signal: context.signal,
    onStderr: (line) => words.add(line),
    ...(far ? { input: archiveOf(job) } : {}),
  });
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    if (bytes > mostBytes)
      throw new PgsiloError(
        'restore.failed',
        `the definitions of the backup have more than ${mostBytes} bytes`,
        {
          hint: 'Restore it into a database of its own (without --replace), where pg_restore sends them one by one.',
        },
      );
    chunks.push(chunk);
  }
  words.flush();
  return readScript(Buffer.concat(chunks, bytes));
}

/** Lines that may stand before the first entry: comments, what keeps psql from obeying the rest, settings. */
const preamble = /^(?:--.*|SET \w+ = [^;]*;|SELECT pg_catalog\.set_config\('search_path', '', false\);|)$/;
/** pg_restore's word on an entry. What stands before the first of them is made of nobody's names but the dump's. */
const entryComment = /^-- (?:Name|TOC entry|Data for Name|Statistics for Name|Dependencies):? /;
/** Time-outs are the caller's; one of them is not known to servers before 17. */
const timeouts =
  /^SET (?:statement_timeout|lock_timeout|idle_in_transaction_session_timeout|transaction_timeout) = /;
const opening = /^\\restrict ([A-Za-z0-9]+)$/;
const end = '-- PostgreSQL database dump complete';

/** Takes a script of pg_restore apart: what only psql understands is taken away, and what is left must end as pg_restore ends it. */
export function readScript(script: Buffer): ArchiveScript {
  const settings: string[] = [];
  let key: string | undefined;
  let at = 0;
  for (;;) {
    const stop = script.indexOf(10, at);
    if (stop < 0) break;
    const line = script.toString('latin1', at, stop);
    const restrict = opening.exec(line);
    if (restrict && key === undefined) key = restrict[1];
    else if (entryComment.test(line) || !preamble.test(line)) break;
    else if (line.startsWith('S') && !timeouts.test(line)) settings.push(line);
    at = stop + 1;
  }
  const closing = script.lastIndexOf(`\n${end}\n`);
  if (closing < 0) throw notUnderstood('it does not end as a dump does');
  const tail = script.toString('latin1', closing + end.length + 2).trim();
  if (tail !== (key === undefined ? '--' : `--\n\n\\unrestrict ${key}`))
    throw notUnderstood(`${JSON.stringify(tail.slice(0, 100))} follows its end`);
  return {
    settings: Buffer.from(settings.join('\n'), 'latin1'),
    statements: script.subarray(Math.min(at, closing), closing),
  };
}

function notUnderstood(why: string): PgsiloError {
  return new PgsiloError(
    'source.archive-invalid',
    `what pg_restore makes of the archive is not understood: ${why}`,
  );
}
