import { PgsiloError, type BackupView, type Context, type Inspection } from '@pgsilo/plugin';
import {
  compareContents, describeFingerprint, findTool, inspectGlobals, isData, isGlobals, listed, majorVersion, plural, provedByTool, readArchive, readFingerprint, readSettings, type ArchiveContents,
} from '@pgsilo/postgres'; // prettier-ignore
import type { SourceSetup } from './setup.ts';
import { schemaOf } from './units.ts';
import { describeUnread, unreadVersion } from './unread-archive.ts';

/** Reads all artifacts of a backup to their ends and compares what they say with each other. Throws `source.archive-invalid`. */
export async function inspectBackup(
  setup: SourceSetup,
  backup: BackupView,
  context: Context,
): Promise<Inspection> {
  if (isGlobals(backup.unit)) return inspectGlobals(backup);
  const unread = unreadVersion(backup);
  if (unread !== undefined) return await inspectByTool(setup, backup, unread, context);
  if (schemaOf(backup.unit) === undefined) await readSettings(backup);
  const fingerprint = await readFingerprint(backup);
  const archives: ArchiveContents[] = [];
  for (const artifact of backup.artifacts.filter(({ format }) => format === 'pg-custom')) {
    context.signal.throwIfAborted();
    archives.push(await readArchive(artifact.open(), { keep: isData }));
  }
  if (archives.length === 0) throw invalid('it has no archive');
  if (!fingerprint) {
    const blocks = archives.reduce((sum, { data }) => sum + data.size, 0);
    return { summary: `${plural(blocks, 'block')} of data, read to the end; no fingerprint to compare with` };
  }
  const differences = compareContents(together(archives), fingerprint);
  if (differences.length > 0) throw invalid(`archive and fingerprint differ: ${listed(differences, 10)}`);
  return { summary: describeFingerprint(fingerprint) };
}

/** What pgsilo does not understand, pg_restore reads to the end. */
async function inspectByTool(
  setup: SourceSetup,
  backup: BackupView,
  version: string,
  { signal, log }: Context,
): Promise<Inspection> {
  const major = majorVersion(backup.facts.tool.replace(/^pg_dump /, '')) ?? 0;
  const tool = await findTool(
    'pg_restore',
    major,
    setup.programs,
    signal,
    'the pg_dump that wrote the archive',
  );
  for (const artifact of backup.artifacts.filter(({ format }) => format === 'pg-custom'))
    for await (const _ of provedByTool(artifact.open(), { tool, signal, onStderr: (line) => log.warn(line) }))
      continue;
  const fingerprint = await readFingerprint(backup);
  const wanted = fingerprint
    ? `; to be compared once it is restored: ${describeFingerprint(fingerprint)}`
    : '';
  return {
    summary: `read to the end by ${tool.name} ${tool.version}, because ${describeUnread(version)}${wanted}`,
  };
}

/** The database's unit has its rows in archives of their own. All come from one pg_dump, which has given each entry a number of its own. */
function together([first, ...others]: readonly ArchiveContents[]): ArchiveContents {
  return others.reduce(
    (whole, part): ArchiveContents => ({
      toc: { ...whole.toc, entries: [...whole.toc.entries, ...part.toc.entries] },
      data: new Map([...whole.data, ...part.data]),
      largeObjects: whole.largeObjects + part.largeObjects,
      bytes: whole.bytes + part.bytes,
    }),
    first!,
  );
}

function invalid(message: string): PgsiloError {
  return new PgsiloError('source.archive-invalid', message, {
    hint: 'Use the copy in another sink, or another backup.',
  });
}
