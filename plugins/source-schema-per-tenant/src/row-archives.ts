import { createReadStream } from 'node:fs';
import { PgsiloError, type BackupView, type Context } from '@pgsilo/plugin';
import {
  archiveRows,
  copyIn,
  quoteLiteral,
  readToc,
  showName,
  type Session,
  type TocEntry,
} from '@pgsilo/postgres';

/** An archive with rows. */
export interface RowArchive {
  /** Path of the archive. */
  readonly archive: string;
  /** As pg_dump names it. */
  readonly encoding: string;
  readonly entries: readonly TocEntry[];
}

/** Fetches the archives of the unit `@database` that have nothing but rows, each those of one schema that is nobody's unit. */
export async function fetchRowArchives({ artifacts }: BackupView): Promise<readonly RowArchive[]> {
  const found: RowArchive[] = [];
  for (const artifact of artifacts) {
    if (!/^rows-\d+\.dump$/.test(artifact.name)) continue;
    const archive = await artifact.spool();
    const { entries, encoding } = await readToc(createReadStream(archive));
    found.push({ archive, encoding, entries: entries.filter(({ desc }) => desc === 'TABLE DATA') });
  }
  return found;
}

/** Copies the rows of these tables in the session's transaction. @param encoding of the archive */
export async function copyRows(
  session: Session,
  { archive, encoding, entries }: RowArchive,
  { signal }: Pick<Context, 'signal'>,
): Promise<void> {
  const tables = new Map(entries.map((entry) => [entry.dumpId, entry]));
  for await (const { dumpId, rows } of archiveRows(archive)) {
    const table = tables.get(dumpId);
    if (!table) {
      for await (const _ of rows);
      continue;
    }
    tables.delete(dumpId);
    const what = `rows of table ${showName(table.tag)}`;
    const statement = table.copyStatement.trimEnd();
    if (!statement.endsWith(' FROM stdin;'))
      throw new PgsiloError('source.archive-invalid', `${what} are not in COPY's form`);
    const encoded = `${statement.slice(0, -1)} WITH (ENCODING ${quoteLiteral(encoding)})`;
    await copyIn(session, encoded, rows, what, signal);
  }
  const [missing] = tables.values();
  if (missing)
    throw new PgsiloError(
      'source.archive-invalid',
      `rows of table ${showName(missing.tag)} are not in the archive`,
    );
}
