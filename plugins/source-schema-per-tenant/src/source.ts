import type { Context, Job, ReadContext, RestoreRequest, Setup, Source, SourceItem } from '@pgsilo/plugin';
import { createSetup, openScratchServer, takeLock, type Attempt } from '@pgsilo/postgres';
import { checkSource } from './check.ts';
import { compareSchema } from './compare.ts';
import { inspectBackup } from './inspect.ts';
import type { Options } from './options.ts';
import { planUnits } from './plan.ts';
import { readJob } from './read.ts';
import { proof } from './proof.ts';
import { recoverAll } from './recovery/recovery.ts';
import { prepareRestore } from './restore.ts';
import { SharedSnapshot } from './shared-snapshot.ts';

/** The source; opens nothing before it is asked to. */
export function createSchemaSource(options: Options, given: Setup): Source {
  const setup = createSetup(options, given);
  const attempts = new Set<Attempt>();
  const shared = new SharedSnapshot(setup);
  return {
    plan: (history, context) => planUnits(setup, history, context),
    read: (job: Job, context: ReadContext): AsyncIterable<SourceItem> =>
      readJob({ setup, attempts, shared }, job, context),
    restore: (request: RestoreRequest, context: Context) => prepareRestore(setup, request, context),
    check: (context) => checkSource(setup, context),
    inspect: (backup, context) => inspectBackup(setup, backup, context),
    compare: (target, backup, context) => compareSchema(setup, target, backup, context),
    scratch: (request, context) => openScratchServer(setup, request, context, proof),
    recovery: (server, context) => recoverAll(setup, server, context),
    lock: (name, holder, context) => takeLock(setup.settings, name, holder, context),
    close: async () => {
      await Promise.all([...attempts].map((attempt) => attempt.abandon()));
      await shared.close();
    },
  };
}
