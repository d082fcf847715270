import type { Context, Job, ReadContext, RestoreRequest, Setup, Source, SourceItem } from '@pgsilo/plugin';
import { takeLock, type Attempt, createSetup, openScratchServer } from '@pgsilo/postgres';
import { checkSource } from './check.ts';
import { compareDatabase } from './compare.ts';
import { inspectBackup } from './inspect.ts';
import type { Options } from './options.ts';
import { planUnits } from './plan.ts';
import { readJob } from './read.ts';
import { proofOf } from './proof.ts';
import { recoverAll } from './recovery.ts';
import { prepareRestore } from './restore.ts';

/** The source; opens nothing before it is asked to. */
export function createSource(options: Options, given: Setup): Source {
  const setup = createSetup(options, given);
  const attempts = new Set<Attempt>();
  return {
    plan: (history, context) => planUnits(setup, history, context),
    read: (job: Job, context: ReadContext): AsyncIterable<SourceItem> =>
      readJob(setup, attempts, job, context),
    restore: (request: RestoreRequest, context: Context) => prepareRestore(setup, request, context),
    check: (context) => checkSource(setup, context),
    inspect: (backup, context) => inspectBackup(backup, context),
    compare: (target, backup, context) => compareDatabase(setup, target, backup, context),
    scratch: (request, context) => openScratchServer(setup, request, context, proofOf(setup)),
    recovery: (server, context) => recoverAll(setup, server, context),
    lock: (name, holder, context) => takeLock(setup.settings, name, holder, context),
    close: async () => {
      await Promise.all([...attempts].map((attempt) => attempt.abandon()));
    },
  };
}
