import { throwIfAborted, type Context, type RestoreOutcome, type RestoreRequest } from '@pgsilo/plugin';
import {
  applySettings, applySettingsStatements, claimWorkingName, createClosed, inWorking, markWorking, quoteIdentifier, renameDatabases, runPgRestore, sweepLeftovers,
  templateHasRules, undo, type DatabaseSettings, type Fingerprint, type Restorer, type Session, type TargetNames, type Tool,
} from '@pgsilo/postgres'; // prettier-ignore
import { compare } from './restore-run.ts';
import { restoreInSections, type ArchivePart } from './restore-sections.ts';
import type { LargeObjectArchive } from './restored-large-objects.ts';
import type { SourceSetup } from './setup.ts';

/** A restore of what belongs to no tenant, found possible. */
export interface PreparedDatabaseRestore {
  readonly setup: SourceSetup;
  readonly request: RestoreRequest;
  readonly context: Context;
  readonly admin: Session;
  readonly applicationName: string;
  readonly names: TargetNames;
  readonly settings: DatabaseSettings;
  readonly parts: readonly ArchivePart[];
  readonly largeObjects: readonly LargeObjectArchive[];
  readonly tool: Tool;
  readonly restorer: Restorer;
  readonly fingerprint: Fingerprint | undefined;
  readonly warnings: readonly string[];
  readonly swaps: false;
  readonly progress: { naming: boolean };
}

/** Restores into a working database, proves it, and only then gives it its name. */
export async function runDatabaseRestore(prepared: PreparedDatabaseRestore): Promise<RestoreOutcome> {
  const { admin, context, request, names, settings } = prepared;
  await sweepLeftovers(admin, context);
  const working = await claimWorkingName(admin);
  try {
    await request.step('create the database', () => createDatabase(prepared, working));
    await request.step('restore the data', () => restoreAll(prepared, working));
    const compared = await request.step('compare with the fingerprint', () =>
      inWorking(prepared, working, 'compare the restored database', (session) => compare(prepared, session)),
    );
    await request.step('analyze', () =>
      inWorking(prepared, working, 'analyze the restored database', (session) => session.query('ANALYZE')),
    );
    const refused = await request.step('apply settings and grants', () =>
      applySettings(admin, applySettingsStatements(settings, working, { owner: request.owner })),
    );
    throwIfAborted(context.signal);
    prepared.progress.naming = true;
    await request.step('give it its name', () =>
      renameDatabases(admin, [{ from: working, to: names.target }], context),
    );
    return {
      target: names.target,
      compared,
      warnings: [...prepared.warnings, ...refused],
      next: [
        `The tenants are not in it. Put each into it: pgsilo restore FILE UNIT --into ${names.target}`,
        `Remove it when it is no longer needed: DROP DATABASE ${quoteIdentifier(names.target)};`,
      ],
    };
  } catch (error) {
    throw await undo(prepared, working, error);
  }
}

async function createDatabase(
  { admin, settings, request, restorer }: PreparedDatabaseRestore,
  working: string,
): Promise<void> {
  const templateRules = await templateHasRules(admin);
  await createClosed(admin, working, settings, { request, restorer, templateRules });
  await markWorking(admin, working, request);
}

async function restoreAll(prepared: PreparedDatabaseRestore, working: string): Promise<void> {
  const { setup, request, admin, applicationName, tool, context } = prepared;
  const job = {
    setup, tool, server: admin.settings, serverMajor: admin.major, elsewhere: request.toServer !== undefined, database: working, applicationName,
    owner: request.owner, tablespaces: true, jobs: request.jobs,
  }; // prettier-ignore
  for (const { archive } of prepared.largeObjects)
    await runPgRestore({ ...job, archive, entries: undefined }, context);
  await restoreInSections(prepared.parts, (part) => runPgRestore({ ...job, ...part }, context));
}
