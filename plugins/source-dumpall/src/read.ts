import { PgsiloError, type Body, type Job, type ReadContext, type SourceItem } from '@pgsilo/plugin';
import {
  readInAttempt,
  type Attempt,
  clusterConnection,
  connectionForPrograms,
  findTool,
  mayReadPasswords,
  produce,
  takeSnapshot,
  type Tool,
} from '@pgsilo/postgres';
import { ContentsReader, type Contents } from './contents.ts';
import { exactPattern, readDatabases, type DatabasesThere } from './databases.ts';
import type { Options } from './options.ts';
import { undumpableHint, undumpableMessage } from './plan.ts';
import type { SourceSetup } from './setup.ts';

/** The artifact that holds all of it. */
export const artifactName = 'cluster.sql';

/** Backs up the server by one pg_dumpall, whose output is read on the way: it is stored only if a restore could read it. */
export function readCluster(
  setup: SourceSetup,
  open: Set<Attempt>,
  job: Job,
  context: ReadContext,
): AsyncGenerator<SourceItem> {
  return readInAttempt(setup.settings, open, context, async function* (attempt) {
    for (const unit of job.units) yield* readUnit(setup, unit.name, job.estimatedBytes, attempt, context);
  });
}

async function* readUnit(
  setup: SourceSetup,
  unit: string,
  estimatedBytes: number | undefined,
  attempt: Attempt,
  context: ReadContext,
): AsyncGenerator<SourceItem> {
  const session = await attempt.open(setup.settings.database, 'back up the server');
  const { facts } = await takeSnapshot(session);
  const databases = await readDatabases(session, setup.options);
  const passwords = !setup.options.noRolePasswords && (await mayReadPasswords(session));
  // Nothing of pg_dumpall's runs in it, and it must not hold back vacuum for hours.
  await session.query('COMMIT');
  if (databases.undumpable.length > 0)
    throw new PgsiloError('source.failed', undumpableMessage(databases.undumpable), { hint: undumpableHint });
  if (!passwords && !setup.options.noRolePasswords)
    context.log.warn('roles are backed up without passwords: the role may not read pg_authid', {
      role: setup.settings.user,
    });
  const tool = await findTool('pg_dumpall', session.major, setup.programs, context.signal);
  const connection = connectionForPrograms(
    setup,
    session.settings,
    session.database,
    attempt.applicationName,
  );
  const args = [
    ...argumentsFor(setup.options, tool, databases, passwords),
    ...clusterConnection(connection.argument),
  ];
  const body = produce(tool, args, {
    doing: 'pg_dumpall',
    env: connection.env,
    signal: attempt.signal,
    onStderr: (line) => context.log.warn(line, { unit }),
  });
  const read = readAlong(body);
  yield {
    type: 'artifact',
    unit,
    name: artifactName,
    format: 'sql',
    body: attempt.watch(read.body),
    ...(estimatedBytes === undefined ? {} : { estimatedBytes }),
  };
  attempt.requireRead(artifactName);
  const contents = read.contents();
  requireAll(databases.dumped, contents);
  yield {
    type: 'facts',
    unit,
    facts: {
      status: 'good',
      ...facts,
      tool: `${tool.name} ${tool.version}`,
      about: {
        databases: contents.databases.length,
        roles: contents.roles.length,
        tables: sum(contents, 'tables'),
        rows: sum(contents, 'rows'),
        passwords,
      },
    },
  };
}

function argumentsFor(
  options: Options,
  tool: Tool,
  databases: DatabasesThere,
  passwords: boolean,
): readonly string[] {
  const some = options.rolesOnly || options.globalsOnly;
  return [
    '--no-password',
    `--lock-wait-timeout=${Math.ceil(options.lockTimeout)}`,
    ...(options.rolesOnly ? ['--roles-only'] : []),
    ...(options.globalsOnly ? ['--globals-only'] : []),
    ...(passwords ? [] : ['--no-role-passwords']),
    // A restore runs ANALYZE: statistics of the old server's version would only be thrown away.
    ...(tool.major >= 18 && !some ? ['--no-statistics'] : []),
    ...databases.excluded.map((name) => `--exclude-database=${exactPattern(name)}`),
  ];
}

/** The same body; throws at its end unless that is the end of a dump, closing line included. */
function readAlong(body: Body): { readonly body: Body; contents(): Contents } {
  const reader = new ContentsReader();
  let contents: Contents | undefined;
  return {
    body: {
      [Symbol.asyncIterator]: () => {
        const iterator = body[Symbol.asyncIterator]();
        return {
          next: async () => {
            const result = await iterator.next();
            if (result.done) contents = asIncomplete(() => reader.end());
            else asIncomplete(() => reader.push(result.value));
            return result;
          },
          return: async () => (await iterator.return?.()) ?? { done: true, value: undefined },
        };
      },
    },
    contents: () => contents!,
  };
}

/** What is wrong with an archive that is stored already is wrong with the producer here. */
function asIncomplete<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new PgsiloError(
      'source.incomplete',
      `what pg_dumpall wrote is no whole dump: ${(error as Error).message}`,
      { cause: error },
    );
  }
}

/** One that was dropped between our look and that of pg_dumpall is missed too: the job is tried again. */
function requireAll(dumped: readonly string[], contents: Contents): void {
  const found = new Set(contents.databases.map(({ name }) => name));
  const lost = dumped.filter((name) => !found.has(name));
  if (lost.length > 0)
    throw new PgsiloError('source.incomplete', `pg_dumpall left out databases: ${lost.join(', ')}`);
}

function sum({ databases }: Contents, key: 'tables' | 'rows'): number {
  return databases.reduce((total, database) => total + database[key], 0);
}
