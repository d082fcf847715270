import { createReadStream } from 'node:fs';
import { mkdtemp, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createWriteStream } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { PgsiloError } from '@pgsilo/plugin';
import type {
  ArtifactView, BackupView, Body, Restoration, RestoreOutcome, RestoreRequest, SourceArtifact, UnitFacts,
} from '@pgsilo/plugin'; // prettier-ignore
import { broken } from './check.ts';
import { jobOf, readContext } from './source-subject.ts';
import type { SourceUnderCheck } from './source-subject.ts';

/** A backup that a check has made, in files under scratch. */
export interface MadeBackup {
  readonly view: BackupView;
  readonly facts: UnitFacts;
  /** Path of an artifact's file. */
  path(artifact: string): string;
}

/** Backs up the subject's unit as the engine does. */
export async function backUp(subject: SourceUnderCheck): Promise<MadeBackup> {
  const { source, context, unit } = subject;
  const job = await jobOf(subject);
  const folder = await mkdtemp(join(await context.scratch(), 'backup-'));
  const path = (name: string): string => join(folder, name);
  const artifacts: Pick<SourceArtifact, 'name' | 'format'>[] = [];
  const facts: UnitFacts[] = [];
  for await (const item of source.read(job, readContext(context))) {
    if (item.unit !== unit)
      broken(`the job of ${JSON.stringify(unit)} gave something of ${JSON.stringify(item.unit)}`);
    if (item.type === 'facts') facts.push(item.facts);
    else {
      await pipeline(item.body, createWriteStream(path(item.name), { flags: 'wx' }));
      artifacts.push({ name: item.name, format: item.format });
    }
  }
  const [first] = facts;
  if (first === undefined || facts.length > 1)
    return broken(`the unit was given facts ${facts.length} times instead of once`);
  const views = await Promise.all(
    artifacts.map(async ({ name, format }): Promise<ArtifactView> => ({
      name,
      format,
      bytes: (await stat(path(name))).size,
      open: () => createReadStream(path(name)),
      spool: async () => path(name),
    })),
  );
  // As they come back from a manifest.
  const plain = JSON.parse(JSON.stringify(first)) as UnitFacts;
  if (!isDeepStrictEqual(plain, first)) broken('the facts do not survive JSON');
  const view = { unit: job.units[0]!, id: '20261121T020000Z-7f3a9c', facts: plain, artifacts: views };
  return { view, facts: plain, path };
}

/** The largest artifact: the one that a producer makes. */
export function largest(backup: BackupView): ArtifactView {
  return backup.artifacts.reduce((most, one) => (one.bytes > most.bytes ? one : most));
}

/** The same backup, whose largest artifact throws in the middle, as it does where the stored object was damaged. */
export function damaged(backup: BackupView): BackupView {
  const victim = largest(backup);
  const error = new PgsiloError('sink.corrupt', `${victim.name} is not what was stored`);
  async function* half(): Body {
    let left = Math.floor(victim.bytes / 2);
    for await (const chunk of victim.open()) {
      if (left <= 0) break;
      yield chunk.subarray(0, left);
      left -= chunk.length;
    }
    throw error;
  }
  return replaced(backup, { ...victim, open: half, spool: () => Promise.reject(error) });
}

/** The same backup, whose largest artifact was cut by whoever wrote it: every hash is right. */
export async function cutShort(made: MadeBackup): Promise<BackupView> {
  const victim = largest(made.view);
  const bytes = Math.floor(victim.bytes * 0.7);
  const file = `${made.path(victim.name)}.cut`;
  await writeFile(file, createReadStream(made.path(victim.name), { end: bytes - 1 }));
  return replaced(made.view, {
    ...victim,
    bytes,
    open: () => createReadStream(file),
    spool: async () => file,
  });
}

function replaced(backup: BackupView, artifact: ArtifactView): BackupView {
  const artifacts = backup.artifacts.map((one) => (one.name === artifact.name ? artifact : one));
  return { ...backup, artifacts };
}

export function requestOf(backup: BackupView, more: Partial<RestoreRequest> = {}): RestoreRequest {
  return {
    backup,
    replace: false,
    dropOld: false,
    jobs: 1,
    owner: true,
    step: (_name, work) => work(),
    swap: (_live, work) => work(),
    ...more,
  };
}

/** Prepares, runs and closes a restore. */
export async function restore(
  { source, context }: SourceUnderCheck,
  request: RestoreRequest,
): Promise<RestoreOutcome> {
  const restoration: Restoration = await source.restore(request, context);
  try {
    if (restoration.plan.length === 0) broken('the restore does not say what it would do: its plan is empty');
    return await restoration.run();
  } finally {
    await restoration.close();
  }
}
