import { PgsiloError, type Body } from '@pgsilo/plugin';
import type { BackupStreamItem } from './base-backup.ts';
import { TarCutter, type Piece } from './cut.ts';
import { ArtifactNames } from './layout.ts';
import { tarEnd, type TarHeader } from './tar-header.ts';

/** The server's own list of all files, with their sizes and checksums: `backup_manifest` in a data directory. */
export const serverManifestName = 'backup-manifest.json';

/** An artifact as it comes. Its body must be read to its end before the next is asked for. */
export interface Cut {
  readonly name: string;
  readonly format: 'tar' | 'json';
  readonly body: Body;
}

const manifestOwner = 'manifest';

/**
 * Cuts what the server sends into artifacts, in the order in which it comes; nothing waits on disk, and of what was cut no more than a header in memory.
 * @param onEntry told of each file, folder and link of the tars.
 */
export async function* cutArtifacts(
  items: AsyncIterable<BackupStreamItem>,
  onEntry: (entry: TarHeader) => void,
): AsyncGenerator<Cut, void> {
  const pieces = piecesOf(items, onEntry);
  const names = new ArtifactNames();
  let waiting = await pieces.next();
  try {
    while (!waiting.done) {
      const { owner } = waiting.value;
      let whole = false;
      const tar = owner !== manifestOwner;
      const body = async function* (): AsyncGenerator<Uint8Array, void> {
        while (!waiting.done && waiting.value.owner === owner) {
          yield waiting.value.bytes;
          waiting = await pieces.next();
        }
        if (tar) yield tarEnd;
        whole = true;
      };
      const name = tar ? names.next(owner) : serverManifestName;
      yield { name, format: tar ? 'tar' : 'json', body: body() };
      if (!whole) throw new PgsiloError('internal', `${name} was not read to its end before the next item`);
    }
  } finally {
    await pieces.return();
  }
}

async function* piecesOf(
  items: AsyncIterable<BackupStreamItem>,
  onEntry: (entry: TarHeader) => void,
): AsyncGenerator<Piece, void> {
  let cutter: TarCutter | undefined;
  for await (const item of items) {
    if (item.type === 'data') {
      if (cutter) yield* cutter.push(item.bytes);
      else yield { owner: manifestOwner, bytes: item.bytes };
      continue;
    }
    cutter?.end();
    cutter = item.type === 'archive' ? new TarCutter(item.tablespace, onEntry) : undefined;
  }
  cutter?.end();
}
