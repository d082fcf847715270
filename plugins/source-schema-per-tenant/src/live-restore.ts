import { createReadStream } from 'node:fs';
import { PgsiloError, type Context, type Restoration, type RestoreRequest } from '@pgsilo/plugin';
import {
  artifactOf, describeFingerprint, describeServer, downgradeProblem, findPgRestore, fitIdentifier, freeCopyName, longestIdentifier, majorVersion, openSession, plural,
  readFingerprint, readToc, showName, targetServer, throwProblems, type Fingerprint, type Session, type Toc, type Tool,
} from '@pgsilo/postgres'; // prettier-ignore
import type { UnitNeeds } from './about.ts';
import { chooseTables, fingerprintOf, withoutObjects } from './chosen-tables.ts';
import { schemaTies, type SchemaTies } from './dependents.ts';
import {
  eventTriggerWarnings,
  findSchema,
  liveProblems,
  lockProblems,
  needProblems,
  tieProblems,
  type LiveSchema,
} from './live-conditions.ts';
import { describeLargeObjects, examineLargeObjects, type LiveLargeObjects } from './live-large-objects.ts';
import { runLiveRestore } from './live-restore-run.ts';
import { publicationsOf } from './publications.ts';
import { countOf } from './restored-large-objects.ts';
import { databaseOf, type SourceSetup } from './setup.ts';

/** A restore into a database that is there, found possible. */
export interface PreparedLiveRestore {
  readonly setup: SourceSetup;
  readonly request: RestoreRequest;
  readonly context: Context;
  /** In the database; all is done in one transaction of it. */
  readonly session: Session;
  readonly applicationName: string;
  /** The schema's name in the archive, and for the time of the restore. */
  readonly schema: string;
  /** What it is called in the end. */
  readonly target: string;
  /** The schema that has the archive's name now. With `replace` it stays aside, else it gets its name back. */
  readonly live: LiveSchema | undefined;
  /** Where that goes. */
  readonly aside: string;
  readonly ties: SchemaTies | undefined;
  readonly largeObjects: LiveLargeObjects;
  readonly archive: string;
  readonly toc: Toc;
  readonly tool: Tool;
  readonly fingerprint: Fingerprint | undefined;
  /** What a person should know by now. */
  readonly warnings: readonly string[];
}

/** Prepares the restore of a schema into a database that exists: in place of the live schema, or beside what is there. */
export async function prepareLiveRestore(
  setup: SourceSetup,
  request: RestoreRequest,
  context: Context,
  schema: string,
  needs: UnitNeeds,
): Promise<Restoration> {
  const { backup, replace } = request;
  const database = request.into ?? databaseOf(setup);
  const target = request.toSchema ?? schema;
  refuseSchemaName(target);
  const applicationName = `pgsilo restore ${crypto.randomUUID().slice(0, 8)}`;
  const { signal } = context;
  const server = targetServer(setup.settings, request);
  const session = await openSession(server, { database, applicationName, purpose: 'restore', signal });
  try {
    const live = await findSchema(session, schema);
    if (!replace && (target === schema ? live : await findSchema(session, target)))
      throw new PgsiloError(
        'restore.target-exists',
        `schema ${showName(target)} is in database ${showName(database)} on ${describeServer(session.settings)} already`,
        {
          hint:
            target === schema
              ? 'Put it in its place with --replace, or beside it with --to-schema.'
              : 'Choose another name with --to-schema, or drop it when nobody needs it.',
        },
      );
    const ties = live && (await schemaTies(session, live.oid));
    throwProblems([
      ...downgradeOf(backup.facts.server.version, session.major),
      ...(await rightsProblems(session)),
      ...(live ? liveProblems(schema, live, database) : []),
      ...(ties ? tieProblems(schema, replace ? ties : { ...ties, dependents: [], subscribed: [] }) : []),
    ]);
    const archive = await request.step('fetch the backup and check its hashes', () =>
      artifactOf(backup, 'schema.dump').spool(),
    );
    const whole = await readToc(createReadStream(archive));
    refuseWithoutSchema(whole, schema);
    const chosen = request.tables && chooseTables(whole, schema, request.tables);
    const toc = chosen ? { ...whole, entries: chosen.entries } : whole;
    const fingerprint = fingerprintOf(await readFingerprint(backup), chosen?.entries);
    const largeObjects = await examineLargeObjects(session, request, needs, schema, live);
    const replaced = replace && live ? await countTables(session, live.oid) : 0;
    throwProblems([
      ...largeObjects.problems,
      ...(await needProblems(session, needs, schema, withLargeObjects(toc, largeObjects), request.owner)),
      ...(live && !replace ? copiedExtensions(toc, ties!) : []),
      ...(await lockProblems(
        session,
        toc.entries,
        replaced + largeObjects.replaced + countOf(largeObjects.archives),
      )),
    ]);
    const tool = await findPgRestore(setup, session.major, majorVersion(toc.header.dumpVersion) ?? 0, signal);
    const exists = async (name: string): Promise<boolean> => (await findSchema(session, name)) !== undefined;
    const aside = replace
      ? await freeCopyName(request, schema, exists)
      : fitIdentifier('pgsilo_aside_', crypto.randomUUID().replaceAll('-', ''));
    const prepared: PreparedLiveRestore = {
      setup, request, context, session, applicationName, schema, target, live, aside, ties, largeObjects, archive, toc, tool, fingerprint,
      warnings: [...(chosen?.warnings ?? []), ...withoutObjects(request)],
    }; // prettier-ignore
    return {
      plan: await describePlan(prepared),
      ...(replace && live ? { replaces: schema } : {}),
      run: () => runLiveRestore(prepared),
      close: () => session.close(),
    };
  } catch (error) {
    await session.close();
    throw error;
  }
}

async function describePlan(prepared: PreparedLiveRestore): Promise<readonly string[]> {
  const { session, request, schema, target, live, aside, tool, fingerprint, setup } = prepared;
  const where = `database ${showName(session.database)} on ${describeServer(session.settings)}`;
  const lines = [
    `In one transaction of ${where}, which nobody sees anything of before it is committed, and which the server undoes by itself when anything goes wrong:`,
    `Restore ${request.tables ? `${plural(request.tables.length, 'table')} of ` : ''}schema ${showName(schema)} with ${tool.name} ${tool.version} and one session${target === schema ? '' : `, and name it ${showName(target)}`}`,
    fingerprint
      ? `Compare it with the fingerprint of the backup: ${describeFingerprint(fingerprint)}`
      : 'Compare nothing: the backup has no fingerprint',
    ...describeLargeObjects(prepared.largeObjects, request, aside),
    ...(await eventTriggerWarnings(session)),
    'Run ANALYZE on its tables',
  ];
  if (!request.replace || !live) return lines;
  const moving = await publicationsOf(session, live.oid);
  const publications = [...new Set(moving.map(({ publication }) => showName(publication)))];
  return [
    ...lines,
    ...(publications.length > 0
      ? [`Make publications publish it in the place of the live one: ${publications.join(', ')}`]
      : []),
    `Wait up to ${setup.options.lockTimeout / 1000} s for the transactions in schema ${showName(schema)} to end, and put it in the place of the live one`,
    request.dropOld ? 'Then drop the replaced schema' : `The replaced schema is kept as ${showName(aside)}`,
    'Other schemas are not touched',
    ...(request.owner
      ? []
      : [
          'CAREFUL: with --no-owner the restored schema belongs to the role that restores and has no grants: the application may not be let in',
        ]),
  ];
}

/** For whom roles have to be there. */
function withLargeObjects(toc: Toc, { archives }: LiveLargeObjects): Toc {
  return { ...toc, entries: [...toc.entries, ...archives.flatMap((each) => each.toc.entries)] };
}

function downgradeOf(version: string, major: number): ReturnType<typeof tieProblems> {
  const problem = downgradeProblem(majorVersion(version), major);
  return problem ? [problem] : [];
}

async function rightsProblems(session: Session): Promise<ReturnType<typeof tieProblems>> {
  const [row] = await session.query<{ may: boolean; role: string }>(
    `SELECT has_database_privilege(current_database(), 'CREATE') AS may, current_user::text AS role`,
  );
  if (row!.may) return [];
  const message = `role ${showName(row!.role)} may not create schemas in database ${showName(session.database)}`;
  return [{ code: 'restore.denied', message, hint: 'GRANT CREATE ON DATABASE, or restore as its owner.' }];
}

/** A copy beside the live schema cannot have what the database has once. */
function copiedExtensions(toc: Toc, ties: SchemaTies): ReturnType<typeof tieProblems> {
  const there = new Set(ties.extensions.map(({ name }) => name));
  const both = toc.entries
    .filter(({ desc, tag }) => desc === 'EXTENSION' && there.has(tag))
    .map(({ tag }) => showName(tag));
  if (both.length === 0) return [];
  return [
    {
      code: 'restore.refused',
      message: `extensions live in the schema itself, and a database has each of them once: ${both.join(', ')}`,
      hint: 'Restore into a new database (--to).',
    },
  ];
}

async function countTables(session: Session, oid: number): Promise<number> {
  const [row] = await session.query<{ count: number }>(
    `SELECT count(*)::int4 AS count FROM pg_class WHERE relnamespace = $1 AND relkind IN ('r', 'p')`,
    [oid],
  );
  return row!.count;
}

/** pg_dump says nothing of a schema public that is as initdb made it, so that nothing would make it anew. */
function refuseWithoutSchema(toc: Toc, schema: string): void {
  if (toc.entries.some(({ desc }) => desc === 'SCHEMA')) return;
  throw new PgsiloError(
    'restore.refused',
    `the backup does not make schema ${showName(schema)}: it is a part of every database`,
    {
      hint: 'Restore into a new database (--to), and copy what is missing.',
    },
  );
}

/** Names that PostgreSQL would cut, or keeps for itself. */
export function refuseSchemaName(name: string): void {
  if (name !== '' && Buffer.byteLength(name) <= longestIdentifier && !name.startsWith('pg_')) return;
  throw new PgsiloError(
    'usage.invalid',
    `the schema name ${showName(name)} is not of 1 to 63 bytes, or begins with pg_`,
  );
}
