import { PgsiloError } from '@pgsilo/plugin';

const next = {
  read: 'Let the user of pgsilo read it, or see to its disk or mount. What is lost comes back from a copy of the keyring.',
  written: 'Let the user of pgsilo write to it, or see to the space and the state of its disk or mount.',
};

/** Works with files of the keyring. What the system refuses there is neither a damaged backup nor a defect of pgsilo: it becomes `transform.key-missing`, with the path and the reason. */
export async function withFiles<Result>(
  path: string,
  use: 'read' | 'written',
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (!isSystemError(error)) throw error;
    // Its message ends with the system call and the path: `EACCES: permission denied, open '/keys'`.
    const [reason] = error.message.split(', ', 1);
    throw new PgsiloError(
      'transform.key-missing',
      `the keyring cannot be ${use}: ${error.path ?? path}: ${reason}`,
      { cause: error, hint: next[use] },
    );
  }
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'errno' in error;
}
