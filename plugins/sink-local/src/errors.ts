import { isPgsiloError, PgsiloError } from '@pgsilo/plugin';
import type { ErrorCode } from '@pgsilo/plugin';

const codes: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  ENOSPC: ['sink.full', 'Free space or inodes on that file system, or let retention keep less.'],
  EDQUOT: ['sink.full', 'Raise the quota of the user that runs pgsilo, or let retention keep less.'],
  EFBIG: ['sink.too-large', 'The file system or a limit of the process (ulimit -f) allows no larger file.'],
  EACCES: ['sink.denied', 'Give the user that runs pgsilo read, write and search permission there.'],
  EPERM: ['sink.denied', 'Give the folder to the user that runs pgsilo.'],
  EROFS: ['sink.denied', 'The file system is mounted read-only.'],
  EEXIST: ['sink.denied', 'Something that is no folder stands in the path.'],
  ENOTDIR: ['sink.denied', 'Something that is no folder stands in the path.'],
  EXDEV: ['sink.failed', 'Another file system is mounted inside the folder; objects cannot be moved there.'],
  EIO: [
    'sink.unreachable',
    'The disk or the network file system reports an error; look into the kernel log.',
  ],
  ENODEV: ['sink.unreachable', 'Is the file system still mounted?'],
  ENXIO: ['sink.unreachable', 'Is the file system still mounted?'],
  ENOTCONN: ['sink.unreachable', 'Is the file system still mounted?'],
  ESTALE: ['sink.unreachable', 'The network file system must be mounted anew.'],
  ETIMEDOUT: ['sink.unreachable', 'The network file system does not answer.'],
  EHOSTDOWN: ['sink.unreachable', 'The network file system does not answer.'],
};

/** The system's code of an error, `ENOENT`. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** Gives an error of the file system its row; `doing` says what was tried, with the path. */
export function translate(error: unknown, doing: string): PgsiloError {
  if (isPgsiloError(error)) return error;
  const code = codeOf(error);
  const [row, hint] = codes[code ?? ''] ?? ['sink.failed', 'Look at the cause, and run pgsilo doctor.'];
  return new PgsiloError(
    row,
    `cannot ${doing}: ${code ?? (error instanceof Error ? error.message : String(error))}`,
    { cause: error, hint },
  );
}

/** Awaits a call of the file system and translates what it throws. */
export async function attempt<T>(doing: string, call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw translate(error, doing);
  }
}
