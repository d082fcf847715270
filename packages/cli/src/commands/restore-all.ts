import { exitOfAll, parseTime, planRestoreAll, restoreAll } from '@pgsilo/engine';
import type { RestoreAllOptions as EngineOptions, RestoreAllReport } from '@pgsilo/engine';
import { PgsiloError } from '@pgsilo/plugin';
import type { Invocation } from '../invocation.ts';
import { withPipeline } from '../open-pipeline.ts';
import { goalsOf } from '../recovery-argument.ts';
import { restoreAllDocument, restoreAllPlan, restoreAllText } from '../restore-all-report.ts';
import { watchRestoreAll } from '../restore-all-watch.ts';
import { targetServer } from '../target-server.ts';
import type { RestoreOptions } from './restore.ts';

/** `pgsilo restore FILE --all --to-server URL`: everything into another server, as far as it is not there already. */
export async function restoreEverything(
  invocation: Invocation,
  file: string,
  options: RestoreOptions,
): Promise<number> {
  refuseOthers(options);
  const toServer = targetServer(options.toServer, invocation.env);
  if (toServer === undefined)
    throw new PgsiloError('usage.invalid', '--all is given without --to-server', {
      hint: 'It restores everything into another server and replaces nothing: name that server, as --to-server env:NAME.',
    });
  return withPipeline(file, invocation, async (pipeline, { timezone }) => {
    const watch = await watchRestoreAll(invocation);
    const request: EngineOptions = {
      toServer,
      ...(options.before === undefined ? {} : { before: parseTime(options.before, timezone) }),
      ...(options.from === undefined ? {} : { sink: options.from }),
      jobs: options.jobs ?? 1,
      owner: options.owner,
      signal: invocation.signal,
      observe: (event) => watch.observe(event),
    };
    let report: RestoreAllReport;
    let warnings: readonly string[];
    try {
      const plan = await planRestoreAll(pipeline, request);
      ({ warnings } = plan);
      if (invocation.json || invocation.quiet) for (const text of warnings) invocation.log.warn(text);
      else {
        watch.pause();
        await invocation.out.write(restoreAllPlan(pipeline.name, plan, request, invocation));
        await watch.resume();
      }
      report = await restoreAll(pipeline, request);
    } finally {
      watch.end();
    }
    const exit = exitOfAll(report);
    if (invocation.json) await invocation.out.json(restoreAllDocument(report, warnings));
    else if (!invocation.quiet || exit !== 0) await invocation.out.write(restoreAllText(report, invocation));
    return exit;
  });
}

function refuseOthers(options: RestoreOptions): void {
  const given = [
    ...goalsOf(options).map((flag) => [flag, true] as const),
    ['--timeline', options.timeline],
    ['--start', options.start],
    ['--backup', options.backup],
    ['--to', options.to],
    ['--table', options.table],
    ['--database', options.database],
    ['--roles-only', options.rolesOnly],
    ['--replace', options.replace],
    ['--drop-old', options.dropOld],
    ['--yes', options.yes],
    ['--no-safety-backup', options.safetyBackup ? undefined : true],
  ].find(([, value]) => value !== undefined);
  if (!given) return;
  throw new PgsiloError('usage.invalid', `--all and ${String(given[0])} exclude each other`, {
    hint: 'With --all each unit is restored under its own name, from the newest backup or that of --before. Restore one unit by its name for all else.',
  });
}
