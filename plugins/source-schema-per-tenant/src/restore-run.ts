import { throwIfAborted, type Context, type RestoreOutcome, type RestoreRequest } from '@pgsilo/plugin';
import {
  claimWorkingName, compareFingerprint, listed, createDatabaseStatement, inWorking, markWorking, quoteIdentifier, renameDatabases, requireEqual, runPgRestore, showName, sweepLeftovers,
  templateHasRules, undo, type Fingerprint, type Session, type TargetNames, type TocEntry, type Tool,
} from '@pgsilo/postgres'; // prettier-ignore
import type { UnitNeeds } from './about.ts';
import type { NeededUnit } from './needed-units.ts';
import { restoreInSections } from './restore-sections.ts';
import type { LargeObjectArchive } from './restored-large-objects.ts';
import type { SourceSetup } from './setup.ts';
import { staleNames } from './stale-names.ts';

/** A restore of a schema that was found possible. */
export interface PreparedRestore {
  readonly setup: SourceSetup;
  readonly request: RestoreRequest;
  readonly context: Context;
  /** A session outside the database that is made; holds the lock of its working name. */
  readonly admin: Session;
  /** Of all sessions of this restore. */
  readonly applicationName: string;
  readonly names: TargetNames;
  readonly schema: string;
  readonly needs: UnitNeeds;
  /** Path of the archive. */
  readonly archive: string;
  /** In archives of their own. */
  readonly largeObjects: readonly LargeObjectArchive[];
  /** Schemas that come along, each before who needs it. */
  readonly needed: readonly NeededUnit[];
  readonly tool: Tool;
  readonly fingerprint: Fingerprint | undefined;
  /** Only these; undefined: everything. With `needed` never undefined. */
  readonly entries: readonly TocEntry[] | undefined;
  /** What a person should know. */
  readonly warnings: readonly string[];
  /** No live database is replaced. */
  readonly swaps: false;
  readonly progress: { naming: boolean };
}

/** Restores into a working database, proves it, and only then gives it its name. What fails is dropped again; nothing else is ever touched. */
export async function runRestore(prepared: PreparedRestore): Promise<RestoreOutcome> {
  const { admin, context, request, names } = prepared;
  await sweepLeftovers(admin, context);
  const working = await claimWorkingName(admin);
  try {
    await request.step('create the database', () => createWorking(prepared, working));
    await request.step('restore the data', () => restoreInto(prepared, working));
    const compared = await request.step('compare with the fingerprint', () =>
      inWorking(prepared, working, 'compare the restored schema', (session) => compare(prepared, session)),
    );
    await request.step('analyze', () =>
      inWorking(prepared, working, 'analyze the restored schema', (session) => session.query('ANALYZE')),
    );
    const { schema } = prepared;
    const toSchema = request.toSchema ?? schema;
    const stale =
      toSchema === schema
        ? []
        : await request.step('rename the schema', () =>
            inWorking(prepared, working, 'rename the schema', async (session) => {
              await session.query(
                `ALTER SCHEMA ${quoteIdentifier(schema)} RENAME TO ${quoteIdentifier(toSchema)}`,
              );
              return await staleNames(session, toSchema, schema);
            }),
          );
    throwIfAborted(context.signal);
    prepared.progress.naming = true;
    await request.step('give it its name', () =>
      renameDatabases(admin, [{ from: working, to: names.target }], context),
    );
    const company = listed(prepared.needed.map((each) => showName(each.schema)));
    const next = [
      `The schema is alone in its database${company === '' ? '' : `, but for what it needs (${company})`}. Remove that when it is no longer needed: DROP DATABASE ${quoteIdentifier(names.target)};`,
    ];
    return { target: names.target, compared, warnings: [...prepared.warnings, ...stale], next };
  } catch (error) {
    throw await undo(prepared, working, error);
  }
}

/** Makes the working database, with the extensions that the schema needs. */
export async function createWorking(prepared: PreparedRestore, working: string): Promise<void> {
  const { admin, request, needs, schema, setup, needed } = prepared;
  const settings = { ...needs, name: setup.options.database ?? setup.settings.database };
  const templateRules = await templateHasRules(admin);
  await admin.query(createDatabaseStatement(settings, working, { major: admin.major, templateRules }));
  await admin.query(`REVOKE ALL ON DATABASE ${quoteIdentifier(working)} FROM PUBLIC`);
  await markWorking(admin, working, request);
  await inWorking(prepared, working, 'create extensions', async (session) => {
    const coming = new Set([schema, ...needed.map((each) => each.schema)]);
    for (const extension of [needs, ...needed.map((each) => each.needs)].flatMap(
      (each) => each.needsExtensions,
    )) {
      const place = quoteIdentifier(extension.schema);
      // One that is in a schema which is restored comes with its archive.
      if (coming.has(extension.schema)) continue;
      await session.query(`CREATE SCHEMA IF NOT EXISTS ${place}`);
      await session.query(
        `CREATE EXTENSION IF NOT EXISTS ${quoteIdentifier(extension.name)} SCHEMA ${place} CASCADE`,
      );
    }
  });
}

/** Restores the archive, or the entries of it that were chosen. */
export async function restoreInto(prepared: PreparedRestore, working: string): Promise<void> {
  const { setup, request, admin, applicationName, archive, tool, context } = prepared;
  const job = {
    setup, tool, server: admin.settings, serverMajor: admin.major, elsewhere: request.toServer !== undefined, database: working, applicationName, archive,
    entries: prepared.entries, owner: request.owner, tablespaces: true, jobs: request.jobs,
  }; // prettier-ignore
  const { needed } = prepared;
  // Before the schema: a materialized view may read them.
  for (const { archive: objects } of [
    ...needed.flatMap((each) => each.largeObjects),
    ...prepared.largeObjects,
  ])
    await runPgRestore({ ...job, archive: objects, entries: undefined }, context);
  if (needed.length === 0) return await runPgRestore(job, context);
  const parts = [
    ...needed.map((each) => ({ archive: each.archive, entries: each.toc.entries })),
    { archive, entries: prepared.entries! },
  ];
  await restoreInSections(parts, (part) => runPgRestore({ ...job, ...part }, context));
}

/** Compares it with the fingerprint, if there is one. Throws `restore.mismatch`. */
export function compare(
  { fingerprint, context }: Pick<PreparedRestore, 'fingerprint' | 'context'>,
  session: Session,
): Promise<string> {
  return requireEqual(fingerprint, (wanted) => compareFingerprint(session, wanted, context));
}
