import type { Context, RestoreRequest } from '@pgsilo/plugin';
import { fingerprintOfEntries, readFingerprint, type Session, type TocEntry } from '@pgsilo/postgres';
import { withoutOthersTriggers } from '../others-triggers.ts';
import { copyRows, fetchRowArchives, type RowArchive } from '../row-archives.ts';
import { compareWithin } from '../schema-transaction.ts';
import type { LeftEntry } from './entries.ts';
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

  /** @param entries of the archive that has the definitions */
  static async of(request: RestoreRequest, entries: readonly TocEntry[], { left }: Mark): Promise<LaterRows> {
    const wanted = new Set(left);
    const sequences = entries.filter(({ desc, dumpId }) => desc === 'SEQUENCE SET' && wanted.has(dumpId));
    const own = new Set(entries.map(({ dumpId }) => dumpId));
    // Archives of rows are fetched only where one of them has what is left.
    const archives = left.every((id) => own.has(id)) ? [] : await fetchRowArchives(request.backup);
    const rows = archives.flatMap((archive) => archive.entries.filter(({ dumpId }) => wanted.has(dumpId)));
    return new LaterRows(request, archives, [...rows, ...sequences]);
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
      const entries = archive.entries.filter(({ dumpId }) => ids.has(dumpId));
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
