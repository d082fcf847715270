import type { TocEntry } from '@pgsilo/postgres';

/** An archive, and what is wanted of it. */
export interface ArchivePart {
  readonly archive: string;
  readonly entries: readonly TocEntry[];
}

const isForeignKey = ({ desc }: TocEntry): boolean => desc === 'FK CONSTRAINT';

/** A foreign key wants the key of the other table, which may be in a later archive; what is said about objects wants all of them. */
const phases: readonly ((entry: TocEntry) => boolean)[] = [
  ({ section }) => section === 'pre-data',
  ({ section }) => section === 'data',
  (entry) => entry.section === 'post-data' && !isForeignKey(entry),
  (entry) => entry.section === 'none' || isForeignKey(entry),
];

/**
 * Restores several archives into one database as if they were one: all definitions, then all rows, then what is built upon rows, foreign keys last, so that foreign keys may go any way between them.
 * @param parts those that others need first
 * @param run pg_restore, for one archive
 */
export async function restoreInSections(
  parts: readonly ArchivePart[],
  run: (part: ArchivePart) => Promise<void>,
): Promise<void> {
  for (const phase of phases)
    for (const { archive, entries } of parts) {
      const wanted = entries.filter(phase);
      if (wanted.length > 0) await run({ archive, entries: wanted });
    }
}
