import { constants } from 'node:fs';
import { chmod, chown, mkdir, open, symlink, lchown } from 'node:fs/promises';
import { throwIfAborted, type ArtifactView } from '@pgsilo/plugin';
import { placeOf } from './layout.ts';
import { hostile, tarEntries, type TarEntry } from './tar-entries.ts';
import type { TargetFolder } from './target-folders.ts';

/** Where everything goes. */
export interface Places {
  readonly data: TargetFolder;
  /** By OID. */
  readonly tablespaces: ReadonlyMap<string, TargetFolder>;
}

const newFile = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW;

/** Puts files of artifacts in their places. Nothing is written through a link, and nothing that is there is written over. */
export class FilePlacer {
  readonly #places: Places;
  readonly #signal: AbortSignal;
  /** Folders that are there, as the bytes of their paths in latin1. */
  readonly #folders = new Set<string>();
  /** What was written, by its path in the data directory: see `FileSizes`. */
  readonly sizes: Map<string, number> = new Map();

  constructor(places: Places, signal: AbortSignal) {
    this.#places = places;
    this.#signal = signal;
  }

  async place(artifact: ArtifactView): Promise<void> {
    const { tablespace } = placeOf(artifact.name)!;
    // A tablespace that is not in the list lies in the data directory, and so do its paths.
    const own = tablespace === undefined ? undefined : this.#places.tablespaces.get(tablespace);
    const folder = own ?? this.#places.data;
    const prefix = own ? `pg_tblspc/${tablespace}/` : '';
    for await (const entry of tarEntries(artifact, this.#signal)) {
      throwIfAborted(this.#signal);
      if (!own) this.#requireOwn(artifact, entry);
      if (entry.type === 'symlink') await this.#link(artifact, entry, own !== undefined);
      else if (entry.type === 'directory') await this.#makeFolder(folder, entry.path, entry.mode);
      else {
        await this.#write(artifact, folder, entry);
        this.sizes.set(prefix + entry.path, entry.size);
      }
    }
  }

  /** What lies behind the link of a tablespace comes in the tablespace's own tar, never through the link. */
  #requireOwn(artifact: ArtifactView, { path, type }: TarEntry): void {
    const oid = /^pg_tblspc\/(\d+)(?:\/|$)/.exec(path)?.[1];
    const linked = oid !== undefined && this.#places.tablespaces.has(oid);
    if (linked && (type !== 'symlink' || path !== `pg_tblspc/${oid}`))
      throw hostile(artifact, path, 'lies behind a link');
  }

  /** The server's links are those to its tablespaces; ours lead to where the tablespaces are put. */
  async #link(artifact: ArtifactView, { path }: TarEntry, inTablespace: boolean): Promise<void> {
    const oid = /^pg_tblspc\/(\d+)$/.exec(path)?.[1];
    const target = oid === undefined || inTablespace ? undefined : this.#places.tablespaces.get(oid);
    if (!target) throw hostile(artifact, path, 'is a link to somewhere else');
    const { data } = this.#places;
    await this.#makeParents(data, path);
    const at = pathIn(data, path);
    await symlink(target.path, at);
    if (data.owner) await lchown(at, data.owner.uid, data.owner.gid);
  }

  async #write(artifact: ArtifactView, folder: TargetFolder, { path, mode, body }: TarEntry): Promise<void> {
    await this.#makeParents(folder, path);
    let file;
    try {
      file = await open(pathIn(folder, path), newFile, mode | 0o600);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      throw hostile(artifact, path, 'is there twice');
    }
    try {
      for await (const chunk of body) {
        for (let at = 0; at < chunk.length;)
          at += (await file.write(chunk, at, chunk.length - at)).bytesWritten;
      }
      if (folder.owner) await file.chown(folder.owner.uid, folder.owner.gid);
    } finally {
      await file.close();
    }
  }

  async #makeFolder(folder: TargetFolder, path: string, mode: number): Promise<void> {
    await this.#makeParents(folder, `${path}/`);
    await chmod(pathIn(folder, path), mode | 0o700);
  }

  /** Artifacts are placed side by side, so a folder's own entry may come after what is in it. */
  async #makeParents(folder: TargetFolder, path: string): Promise<void> {
    for (let at = path.indexOf('/'); at !== -1; at = path.indexOf('/', at + 1)) {
      const parent = path.slice(0, at);
      const key = `${folder.path}\n${parent}`;
      if (this.#folders.has(key)) continue;
      try {
        await mkdir(pathIn(folder, parent), { mode: 0o700 });
        if (folder.owner) await chown(pathIn(folder, parent), folder.owner.uid, folder.owner.gid);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      this.#folders.add(key);
    }
  }
}

/** The path as bytes: a name may be none of UTF-8. */
export function pathIn({ path: folder }: TargetFolder, path: string): Buffer {
  return Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(path, 'latin1')]);
}
