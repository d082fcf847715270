import { nameOf, placesOf, tokens, type TocEntry } from '@pgsilo/postgres';
import { definitionsOf, restOf } from './entries.ts';

/** The entries of a schema that are no rows, by when they can be made. */
export interface Phases {
  /** Before the rows. */
  readonly definitions: readonly TocEntry[];
  /** Behind them. */
  readonly within: readonly TocEntry[];
  /** Those that touch a table of another schema, and lock it: the last, with what is said about them. */
  readonly crossing: readonly TocEntry[];
}

/**
 * A partition is attached when it has its rows and its own primary key: the table that it is attached to may be whole already, and would give it a key and triggers at once.
 */
export function phasesOf(entries: readonly TocEntry[], schema: string): Phases {
  const ids = new Set<number>();
  for (const entry of entries) {
    const other = otherTable(entry);
    if (other !== undefined && other !== schema) ids.add(entry.dumpId);
  }
  const crosses = ({ dumpId, dependencies }: TocEntry): boolean =>
    ids.has(dumpId) || dependencies.some((id) => ids.has(id));
  const [before, after] = [definitionsOf(entries), restOf(entries)];
  return {
    definitions: before.filter((entry) => !ids.has(entry.dumpId)),
    within: after.filter((entry) => !crosses(entry)),
    crossing: [...before.filter((entry) => ids.has(entry.dumpId)), ...after.filter(crosses)],
  };
}

/** The schema of the table or index that an entry puts its own in touch with. */
function otherTable({ desc, definition }: TocEntry): string | undefined {
  const words = desc === 'FK CONSTRAINT' || desc.endsWith(' ATTACH') ? tokens(definition) : [];
  switch (desc) {
    case 'FK CONSTRAINT': {
      const at = placesOf(words, 'REFERENCES')[0];
      return at === undefined ? undefined : nameOf(words[at + 1]);
    }
    case 'TABLE ATTACH':
      return nameOf(words[placesOf(words, 'ONLY')[0]! + 1]);
    case 'INDEX ATTACH':
      return nameOf(words[2]);
    default:
      return undefined;
  }
}
