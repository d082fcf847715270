import { randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { PgsiloError } from '@pgsilo/plugin';

/** A file for a report, whose place is taken before the work begins. */
export interface ReportFile {
  /** Writes it whole under its name, in place of one that may be there. */
  write(text: string): Promise<void>;
  /** Leaves nothing. */
  discard(): Promise<void>;
}

/** Throws `usage.invalid` when no file can be made there. */
export async function openReport(path: string): Promise<ReportFile> {
  const draft = join(dirname(path), `.${basename(path)}.${randomBytes(4).toString('hex')}`);
  const file = await open(draft, 'wx', 0o600).catch((cause: Error) => {
    throw new PgsiloError('usage.invalid', `no report can be written to ${path}: ${cause.message}`, {
      cause,
      hint: 'Give --report a file in a folder that this user may write to.',
    });
  });
  return {
    async write(text) {
      try {
        await file.writeFile(text);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(draft, path);
    },
    async discard() {
      await file.close();
      await rm(draft, { force: true });
    },
  };
}
