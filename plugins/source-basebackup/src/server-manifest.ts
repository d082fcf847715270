import { createHash } from 'node:crypto';
import { z } from 'zod';
import { PgsiloError, type BackupView } from '@pgsilo/plugin';
import { artifactOf, readBytes } from '@pgsilo/postgres';
import { serverManifestName } from './artifacts.ts';

/** What a file in the data directory must be; paths are read as latin1, those of tablespaces begin with `pg_tblspc/<oid>/`. */
export type FileSizes = ReadonlyMap<string, number>;

const fileSchema = z.union([
  z.object({ Path: z.string(), Size: z.int().nonnegative() }),
  // A name that is no UTF-8, as hex digits.
  z.object({ 'Encoded-Path': z.string().regex(/^(?:[0-9a-f]{2})+$/i), Size: z.int().nonnegative() }),
]);
const manifestSchema = z.object({
  'PostgreSQL-Backup-Manifest-Version': z.union([z.literal(1), z.literal(2)]),
  Files: z.array(fileSchema),
});

/** The server's own list of the files of a backup, as it came. */
export function readServerManifest(backup: BackupView): Promise<Buffer> {
  return readBytes(artifactOf(backup, serverManifestName));
}

/** Reads it, and proves it by the checksum that it carries ("Backup Manifest Format" in PostgreSQL's manual). Throws `source.archive-invalid`. */
export function parseServerManifest(bytes: Buffer): FileSizes {
  const invalid = (why: string, cause?: unknown): never => {
    throw new PgsiloError(
      'source.archive-invalid',
      `the server's list of files (${serverManifestName}) ${why}`,
      {
        ...(cause === undefined ? {} : { cause }),
        hint: 'Use the copy in another sink, or another backup.',
      },
    );
  };
  // The last line is the checksum of all lines before it.
  const lastLine = bytes.lastIndexOf('\n', bytes.length - 2) + 1;
  const stated = /"Manifest-Checksum": "([0-9a-f]{64})"/.exec(bytes.toString('latin1', lastLine))?.[1];
  const real = createHash('sha256').update(bytes.subarray(0, lastLine)).digest('hex');
  if (stated !== real) return invalid('is cut or altered: its checksum is not its own');
  try {
    const { Files } = manifestSchema.parse(JSON.parse(bytes.toString()));
    return new Map(
      Files.map((file) => {
        const path = 'Path' in file ? Buffer.from(file.Path) : Buffer.from(file['Encoded-Path'], 'hex');
        return [path.toString('latin1'), file.Size];
      }),
    );
  } catch (error) {
    return invalid('is not understood', error);
  }
}

/** Differences that are told one by one. */
const mostDifferences = 10;

/** Throws `source.archive-invalid` unless the files are exactly those of the list. Write-ahead log is not in the list. */
export function requireListed(listed: FileSizes, found: FileSizes): void {
  const wrong: string[] = [];
  for (const [path, size] of listed) {
    const real = found.get(path);
    if (real === undefined) wrong.push(`${show(path)} is not there`);
    else if (real !== size) wrong.push(`${show(path)} has ${real} bytes instead of ${size}`);
  }
  for (const path of found.keys())
    if (!listed.has(path) && !path.startsWith('pg_wal/')) wrong.push(`${show(path)} is not in the list`);
  if (wrong.length === 0) return;
  const more = wrong.length > mostDifferences ? `; and ${wrong.length - mostDifferences} more` : '';
  throw new PgsiloError(
    'source.archive-invalid',
    `the files of the backup are not those of the server's list: ${wrong.slice(0, mostDifferences).join('; ')}${more}`,
    { hint: 'Use the copy in another sink, or another backup.' },
  );
}

/** For people: the bytes as UTF-8 where they are any, without what could act on a terminal. */
function show(path: string): string {
  return JSON.stringify(Buffer.from(path, 'latin1').toString());
}
