import { PgsiloError, type Body, type ReadContext, type SourceItem, type Unit } from '@pgsilo/plugin';
import type { Attempt } from '../attempt.ts';
import { produce, type ProducedBody } from '../child.ts';
import type { Session } from '../session.ts';
import { takeSnapshot } from '../snapshot.ts';
import { connectionForPrograms, type SourceSetup } from '../source-setup.ts';
import { findTool } from '../tools.ts';
import { clusterClosingLine } from './file.ts';

/** Roles and tablespaces: what belongs to no database and no dump of one holds. */
export const globalsUnit: Unit = { name: '@globals', labels: {}, origin: {} };

export function isGlobals({ name }: Pick<Unit, 'name'>): boolean {
  return name === globalsUnit.name;
}

const tailKept = 4096;

/** Backs up the globals as `globals.sql`. */
export async function* readGlobals(
  setup: SourceSetup,
  attempt: Attempt,
  context: ReadContext,
): AsyncGenerator<SourceItem> {
  const session = await attempt.open(setup.settings.database, 'read the globals');
  const { facts } = await takeSnapshot(session);
  const passwords = await mayReadPasswords(session);
  if (!passwords) {
    context.log.warn('globals are backed up without passwords: the role may not read pg_authid', {
      role: setup.settings.user,
    });
  }
  const tool = await findTool('pg_dumpall', session.major, setup.programs, context.signal);
  const connection = connectionForPrograms(
    setup,
    session.settings,
    session.database,
    attempt.applicationName,
  );
  const args = [
    '--globals-only',
    '--no-password',
    ...(passwords ? [] : ['--no-role-passwords']),
    ...clusterConnection(connection.argument),
  ];
  const body = produce(tool, args, {
    doing: 'pg_dumpall --globals-only',
    env: connection.env,
    signal: attempt.signal,
    onStderr: (line) => context.log.warn(line, { unit: globalsUnit.name }),
  });
  yield {
    type: 'artifact',
    unit: globalsUnit.name,
    name: 'globals.sql',
    format: 'sql',
    body: attempt.watch(untilClosingLine(body)),
  };
  attempt.requireRead('globals.sql');
  const [count] = await session.query<{ roles: number; tablespaces: number }>(
    `SELECT (SELECT count(*) FROM pg_roles WHERE rolname !~ '^pg_')::int4 AS roles,
            (SELECT count(*) FROM pg_tablespace WHERE spcname !~ '^pg_')::int4 AS tablespaces`,
  );
  yield {
    type: 'facts',
    unit: globalsUnit.name,
    facts: { status: 'good', ...facts, tool: `${tool.name} ${tool.version}`, about: { ...count, passwords } },
  };
}

/**
 * Where pg_dumpall connects to.
 * @param argument `--dbname=` and a connection string; pg_dumpall takes no database from it, and reads `--database` as one, and thereby as nothing else
 */
export function clusterConnection(argument: string): readonly string[] {
  return [argument.replace(/^--dbname=/, '--database='), argument];
}

/** The same body; throws `source.incomplete` at its end when the closing line has not come. */
function untilClosingLine(body: ProducedBody): Body & AsyncIterator<Uint8Array> {
  let tail = Buffer.alloc(0);
  return {
    next: async () => {
      const result = await body.next();
      if (!result.done) tail = Buffer.concat([tail, result.value]).subarray(-tailKept);
      else if (!closes(tail.toString('latin1'))) {
        throw new PgsiloError(
          'source.incomplete',
          `pg_dumpall ended well, but its output lacks the closing line "${clusterClosingLine}"`,
        );
      }
      return result;
    },
    return: () => body.return(),
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

function closes(tail: string): boolean {
  const lines = tail.split('\n').map((line) => line.trim());
  return lines.slice(-8).includes(clusterClosingLine);
}

/** Whether the session's role may read what logins are checked against. */
export async function mayReadPasswords(session: Session): Promise<boolean> {
  const [row] = await session.query<{ may: boolean }>(
    `SELECT has_table_privilege('pg_authid', 'SELECT') AS may`,
  );
  return row?.may === true;
}
