import { createReadStream } from 'node:fs';
import { PgsiloError, type Context, type Restoration, type RestoreRequest } from '@pgsilo/plugin';
import {
  artifactOf, describeFingerprint, describeServer, downgradeProblem, findPgRestore, listed, majorVersion, readFingerprint, readToc, showName, targetServer,
  throwProblems, type Problem, type Session,
} from '@pgsilo/postgres'; // prettier-ignore
import { readNeeds, type UnitNeeds } from '../about.ts';
import { lockProblems } from '../live-conditions.ts';
import { fetchLargeObjects } from '../restored-large-objects.ts';
import type { SourceSetup } from '../setup.ts';
import { schemaOf } from '../units.ts';
import { extensionProblems, lacksTablespaces, rolesProblems } from './conditions.ts';
import { isThere, openDatabase } from './one-database.ts';
import type { PreparedSchema } from './prepared.ts';
import { runSchema } from './schema-run.ts';

/** Prepares the restore of a schema into the database that a restore of everything has made. */
export async function prepareSchema(
  setup: SourceSetup,
  request: RestoreRequest,
  context: Context,
): Promise<Restoration> {
  const { backup } = request;
  const schema = schemaOf(backup.unit)!;
  const needs = readNeeds(backup.facts.about);
  if (!needs)
    throw new PgsiloError('restore.refused', `backup ${backup.id} does not say what its schema needs`, {
      hint: 'Upgrade pgsilo.',
    });
  const applicationName = `pgsilo restore ${crypto.randomUUID().slice(0, 8)}`;
  const session = await openDatabase(
    targetServer(setup.settings, request),
    request.to!,
    applicationName,
    context,
  );
  try {
    if (await isThere(session, schema))
      throw new PgsiloError(
        'restore.target-exists',
        `schema ${showName(schema)} is in database ${showName(session.database)} on ${describeServer(session.settings)} already`,
      );
    const downgrade = downgradeProblem(majorVersion(backup.facts.server.version), session.major);
    throwProblems([
      ...(downgrade ? [downgrade] : []),
      ...(await localeProblems(session, needs)),
      ...(await placeProblems(session, needs, schema)),
    ]);
    const fingerprint = await readFingerprint(backup);
    const archive = await request.step('fetch the backup and check its hashes', () =>
      artifactOf(backup, 'schema.dump').spool(),
    );
    const toc = await readToc(createReadStream(archive));
    const largeObjects = await fetchLargeObjects(request);
    const entries = [...toc.entries, ...largeObjects.flatMap((each) => each.toc.entries)];
    const lacking = await lacksTablespaces(session, entries);
    throwProblems([
      ...(await rolesProblems(session, entries, undefined, request.owner)),
      ...(await extensionProblems(session, toc.entries)),
      ...(await lockProblems(session, toc.entries, 0)),
    ]);
    const tool = await findPgRestore(
      setup,
      session.major,
      majorVersion(toc.header.dumpVersion) ?? 0,
      context.signal,
    );
    const prepared: PreparedSchema = {
      setup, request, context, session, applicationName, schema, needs, archive, toc, tool, tablespaces: lacking.length === 0, fingerprint, largeObjects,
      warnings: lacking,
    }; // prettier-ignore
    return {
      plan: [
        `In one transaction of database ${showName(session.database)}, restore schema ${showName(schema)} with ${tool.name} ${tool.version}`,
        fingerprint
          ? `Compare it with the fingerprint of the backup: ${describeFingerprint(fingerprint)}`
          : 'Compare nothing: the backup has no fingerprint',
      ],
      run: () => runSchema(prepared),
      close: () => session.close(),
    };
  } catch (error) {
    await session.close();
    throw error;
  }
}

/** Whoever made the database may have made it otherwise: texts would sort otherwise, or not fit. */
async function localeProblems(session: Session, needs: UnitNeeds): Promise<readonly Problem[]> {
  const [row] = await session.query<{ encoding: string; collate: string; ctype: string }>(
    `SELECT pg_encoding_to_char(encoding)::text AS encoding, datcollate AS collate, datctype AS ctype FROM pg_database WHERE datname = current_database()`,
  );
  const found = row!;
  if (found.encoding === needs.encoding && found.collate === needs.collate && found.ctype === needs.ctype)
    return [];
  const say = ({ encoding, collate, ctype }: typeof found): string =>
    `encoding ${encoding} and locale ${collate === ctype ? collate : `${collate}, ${ctype}`}`;
  return [
    {
      code: 'restore.refused',
      message: `database ${showName(session.database)} has ${say(found)}, and the backup is of one with ${say(needs)}`,
      hint: 'Drop it where nobody needs it: the same command makes it as it was.',
    },
  ];
}

/** Extensions that the schema's objects need and that `@database` brings, or another unit. */
async function placeProblems(
  session: Session,
  needs: UnitNeeds,
  schema: string,
): Promise<readonly Problem[]> {
  const wanted = needs.needsExtensions.filter((each) => each.schema !== schema);
  if (wanted.length === 0) return [];
  const rows = await session.query<{ name: string; schema: string }>(
    `SELECT e.extname::text AS name, n.nspname::text AS schema FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace`,
  );
  const place = new Map(rows.map((row) => [row.name, row.schema]));
  const missing = wanted.filter(({ name, schema: where }) => place.get(name) !== where);
  if (missing.length === 0) return [];
  const shown = missing.map(
    ({ name, schema: where, example }) => `${showName(name)} in schema ${showName(where)} (${example})`,
  );
  return [
    {
      code: 'restore.refused',
      message: `the backup needs extensions that database ${showName(session.database)} does not have: ${listed(shown)}`,
      hint: 'They belong to the unit @database, or to the schema that they are in: see what is said of it.',
    },
  ];
}
