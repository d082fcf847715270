import { pipeline } from 'node:stream/promises';
import { extract } from 'tar-stream';
import { isPgsiloError, PgsiloError, toPgsiloError, type ArtifactView } from '@pgsilo/plugin';

/** A file, folder or link in an artifact. */
export interface TarEntry {
  /** Read as latin1, relative, and within the folder that it is meant for. */
  readonly path: string;
  readonly type: 'file' | 'directory' | 'symlink';
  readonly size: number;
  readonly mode: number;
  /** Of a link: where it leads. */
  readonly target: string;
  /** Must be read to its end. */
  readonly body: AsyncIterable<Uint8Array>;
}

/**
 * The entries of an artifact, one after another. Throws `source.archive-invalid` for a tar that is cut, and for what no server writes and could lead out of the folder: absolute paths, `..`, hard links, devices.
 */
export async function* tarEntries(
  artifact: ArtifactView,
  signal: AbortSignal,
): AsyncGenerator<TarEntry, void> {
  // Its types do not tell of this option, which its documentation does.
  const tar = extract({ filenameEncoding: 'latin1' } as Parameters<typeof extract>[0]);
  let feedError: unknown;
  const feeding = pipeline(artifact.open(), tar, { signal }).catch((error: unknown) => {
    feedError = error;
  });
  try {
    for await (const entry of tar) {
      const { name, type, size, mode, linkname } = entry.header;
      if (type !== 'file' && type !== 'directory' && type !== 'symlink')
        throw hostile(artifact, name, `is a ${type ?? 'thing of no kind'}`);
      const path = name.replace(/^(?:\.\/)+/, '').replace(/\/+$/, '');
      if (!isWithin(path)) throw hostile(artifact, name, 'leads out of the folder');
      yield {
        path,
        type,
        size: size ?? 0,
        mode: (mode ?? 0) & 0o777,
        target: linkname ?? '',
        body: entry as AsyncIterable<Uint8Array>,
      };
      entry.resume();
    }
    await feeding;
    if (feedError !== undefined) throw feedError;
  } catch (thrown) {
    tar.destroy();
    await feeding;
    // Of the two, what the store said comes first.
    const error = isPgsiloError(feedError) ? feedError : thrown;
    if (isPgsiloError(error)) throw error;
    if (signal.aborted) throw toPgsiloError(signal.reason, 'aborted');
    throw new PgsiloError(
      'source.archive-invalid',
      `${artifact.name} is no whole tar: ${(error as Error).message}`,
      { cause: error, hint: 'Use the copy in another sink, or another backup.' },
    );
  } finally {
    tar.destroy();
    await feeding;
  }
}

function isWithin(path: string): boolean {
  return path !== '' && !path.startsWith('/') && !/\0|\\/.test(path) && !path.split('/').some(isUp);
}

function isUp(part: string): boolean {
  return part === '..' || part === '.' || part === '';
}

/** For what no PostgreSQL writes. */
export function hostile({ name }: ArtifactView, path: string, why: string): PgsiloError {
  return new PgsiloError(
    'source.archive-invalid',
    `${name} holds ${JSON.stringify(path)}, which ${why}: no server writes that`,
    {
      hint: 'Somebody has altered the backup: use the copy in another sink, and look who could write to this one.',
    },
  );
}
