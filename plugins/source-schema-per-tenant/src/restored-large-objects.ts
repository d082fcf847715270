import { createReadStream } from 'node:fs';
import type { BackupView, RestoreRequest } from '@pgsilo/plugin';
import { artifactOf, largeObjectsOf as oidsOf, readToc, type Toc } from '@pgsilo/postgres';

const name = /^large-objects-\d+\.dump$/;

/** Large objects of one owner that a backup holds, in an archive of their own. */
export interface LargeObjectArchive {
  /** Path of the archive. */
  readonly archive: string;
  readonly toc: Toc;
  readonly owner: string;
  /** Their numbers. */
  readonly oids: readonly string[];
}

/** The artifacts of a backup that hold large objects, by name. */
export function largeObjectsOf({ artifacts }: BackupView): readonly string[] {
  return artifacts.map((artifact) => artifact.name).filter((each) => name.test(each));
}

export function hasLargeObjects(backup: BackupView): boolean {
  return largeObjectsOf(backup).length > 0;
}

/** Fetches the archives of a backup's large objects; none where it has none. */
export async function fetchLargeObjects({
  backup,
  step,
}: RestoreRequest): Promise<readonly LargeObjectArchive[]> {
  const names = largeObjectsOf(backup);
  if (names.length === 0) return [];
  return step('fetch its large objects and check their hashes', async () => {
    const found: LargeObjectArchive[] = [];
    for (const each of names) {
      const archive = await artifactOf(backup, each).spool();
      const toc = await readToc(createReadStream(archive));
      const owner = toc.entries.find(({ desc }) => desc === 'BLOB METADATA')?.owner ?? '';
      found.push({ archive, toc, owner, oids: toc.entries.flatMap(oidsOf) });
    }
    return found;
  });
}

export function countOf(archives: readonly LargeObjectArchive[]): number {
  return archives.reduce((sum, { oids }) => sum + oids.length, 0);
}
