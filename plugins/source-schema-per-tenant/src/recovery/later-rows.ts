import type { Context, RestoreRequest } from '@pgsilo/plugin';
import { fingerprintOfEntries, readFingerprint, type Session, type TocEntry } from '@pgsilo/postgres';
import { withoutOthersTriggers } from '../others-triggers.ts';
import { copyRows, type RowArchive } from '../row-archives.ts';
import { compareWithin } from '../schema-transaction.ts';
import { dataOf, type LeftEntry } from './entries.ts';
import type { Mark } from './mark.ts';

/** Those of the rows, and of the places of sequences, whose table or sequence could not be made; they come with it. */
export function leftWith(data: readonly TocEntry[], left: readonly LeftEntry[]): readonly LeftEntry[] {
  const byId = new Map(left.map((each) => [each.entry.dumpId, each]));
  return data.flatMap((entry) => {
    const lacking = entry.dependencies.map((id) => byId.get(id)).find(Boolean);
    return lacking ? [{ ...lacking, entry }] : [];
  });
}

/**
 * Rows of tables that need what a tenant brings. They come in the transaction that makes their table, and in no other: whoever can write the mark cannot ask for rows a second time.
 */
export class LaterRows {
  readonly #request: RestoreRequest;
  readonly #archives: readonly RowArchive[];
  readonly #waiting: Map<number, TocEntry>;

  private constructor(
    request: RestoreRequest,
    archives: readonly RowArchive[],
    waiting: readonly TocEntry[],
  ) {
    this.#request = request;
    this.#archives = archives;
    this.#waiting = new Map(waiting.map((entry) => [entry.dumpId, entry]));
  }

  /**
   * @param definitions the archive that has them
   * @param rows archives of rows; asked for only where some of them are left
   */
  static async of(
    request: RestoreRequest,
    definitions: RowArchive,
    rows: () => Promise<readonly RowArchive[]>,
    { left }: Mark,
  ): Promise<LaterRows> {
    const wanted = new Set(left);
    const isWanted = ({ dumpId }: TocEntry): boolean => wanted.has(dumpId);
    const own = new Set(definitions.entries.map(({ dumpId }) => dumpId));
    const archives = [definitions, ...(left.every((id) => own.has(id)) ? [] : await rows())];
    const waiting = archives.flatMap(({ entries }) => dataOf(entries).filter(isWanted));
    return new LaterRows(request, archives, waiting);
  }

  /** Numbers of the entries that have not come. */
  get left(): readonly number[] {
    return [...this.#waiting.keys()];
  }

  /** Brings the rows of what was made just now, in the session's transaction, and compares them with the fingerprint. Throws `restore.mismatch`. */
  async bring(session: Session, made: readonly TocEntry[], context: Context): Promise<void> {
    const there = new Set(made.map(({ dumpId }) => dumpId));
    const due = [...this.#waiting.values()].filter(({ dependencies }) =>
      dependencies.some((id) => there.has(id)),
    );
    if (due.length === 0) return;
    const ids = new Set(due.map(({ dumpId }) => dumpId));
    for (const archive of this.#archives) {
      const entries = archive.entries.filter(({ desc, dumpId }) => desc === 'TABLE DATA' && ids.has(dumpId));
      const [first] = entries;
      if (!first) continue;
      await withoutOthersTriggers(session, first.namespace!, () =>
        copyRows(session, { ...archive, entries }, context),
      );
    }
    for (const { desc, definition } of due) if (desc === 'SEQUENCE SET') await session.query(definition);
    const fingerprint = await readFingerprint(this.#request.backup);
    if (fingerprint) await compareWithin(session, fingerprintOfEntries(fingerprint, due), context);
    for (const id of ids) this.#waiting.delete(id);
  }
}
