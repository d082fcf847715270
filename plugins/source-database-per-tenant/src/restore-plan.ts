import { describeFingerprint, describeServer, showName } from '@pgsilo/postgres';
import type { PreparedRestore } from './prepared-restore.ts';

/** What a restore would do, a sentence each. */
export function describePlan(prepared: PreparedRestore): readonly string[] {
  const { names, request, settings, fingerprint } = prepared;
  const server = describeServer(prepared.admin.settings);
  const what = request.tables ? `${request.tables.length} tables and what they need` : 'everything';
  const steps = [
    `Create a database on ${server} with encoding ${settings.encoding} and locale ${settings.collate}, which only this restore connects to`,
    `Restore ${what} into it (${prepared.entryCount} entries) with ${prepared.tool.name} ${prepared.tool.version}, ${jobsText(prepared)}`,
    fingerprint
      ? `Compare it with the fingerprint of the backup: ${describeFingerprint(fingerprint)}`
      : 'Compare nothing: the backup has no fingerprint',
    'Run ANALYZE',
    request.owner
      ? `Give it the settings, the grants and the owner (${showName(settings.owner)}) that the database had`
      : 'Give it the settings that the database had, but neither owner nor grants',
  ];
  if (!prepared.swaps) steps.push(`Name it ${showName(names.target)}`);
  else {
    steps.push(`Swap it with ${showName(names.live)} in one transaction, ending the sessions there`);
    steps.push(
      request.dropOld
        ? `Drop the replaced database`
        : `Keep the replaced database as ${showName(names.kept)}`,
    );
  }
  return steps;
}

function jobsText(prepared: PreparedRestore): string {
  const jobs = prepared.setup.programs.exec ? 1 : prepared.request.jobs;
  return jobs === 1 ? 'one job' : `${jobs} jobs`;
}
