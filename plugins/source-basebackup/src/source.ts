import type { Context, Job, ReadContext, RestoreRequest, Setup, Source, SourceItem } from '@pgsilo/plugin';
import { createSetup, takeLock, type Attempt } from '@pgsilo/postgres';
import { checkSource } from './check.ts';
import { inspectCluster } from './inspect.ts';
import type { Options } from './options.ts';
import { planCluster } from './plan.ts';
import { readCluster } from './read.ts';
import { prepareRestore } from './restore.ts';
import { createArchiver } from './wal-archiver.ts';
import { walFiles } from './wal-files.ts';

/** The source; opens nothing before it is asked to. */
export function createSource(options: Options, given: Setup): Source {
  const setup = createSetup(options, given);
  const attempts = new Set<Attempt>();
  return {
    plan: (history, context) => planCluster(setup, history, context),
    read: (job: Job, context: ReadContext): AsyncIterable<SourceItem> =>
      readCluster(setup, attempts, job, context),
    restore: (request: RestoreRequest, context: Context) => prepareRestore(setup, request, context),
    check: (context) => checkSource(setup, context),
    inspect: (backup, context) => inspectCluster(backup, context),
    wal: walFiles,
    archiver: createArchiver(setup),
    lock: (name, holder, context) => takeLock(setup.settings, name, holder, context),
    close: async () => {
      await Promise.all([...attempts].map((attempt) => attempt.abandon()));
    },
  };
}
