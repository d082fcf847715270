import { describeFingerprint, describeServer, plural, showName, jobsOf } from '@pgsilo/postgres';
import type { PreparedRestore } from './prepared-restore.ts';

/** What a restore would do, a sentence each. */
export function describePlan(prepared: PreparedRestore): readonly string[] {
  const { names, request, settings, fingerprint } = prepared;
  const server = describeServer(prepared.admin.settings);
  const what = request.tables
    ? `${plural(request.tables.length, 'table')} and what ${request.tables.length === 1 ? 'it needs' : 'they need'}`
    : 'everything';
  const steps = [
    `Create a database on ${server} with encoding ${settings.encoding} and locale ${settings.collate}, which only this restore connects to`,
    `Restore ${what} into it (${prepared.entryCount === 1 ? '1 entry' : `${prepared.entryCount.toLocaleString('en-US')} entries`}) with ${prepared.tool.name} ${prepared.tool.version}, ${jobsText(prepared)}`,
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
  const jobs = jobsOf(prepared.setup, prepared.tool, prepared.admin.major, prepared.request.jobs);
  return jobs === 1 ? 'one job' : `${jobs} jobs`;
}
