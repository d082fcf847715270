import { accessSync, constants, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Folders where programs of PostgreSQL may be: PATH, then where distributions put each version's own. */
export function usualFolders(): string[] {
  const homebrew = ['/opt/homebrew/opt', '/usr/local/opt', '/home/linuxbrew/.linuxbrew/opt'];
  return [
    ...(process.env['PATH'] ?? '').split(delimiter).filter(Boolean),
    ...subfolders('/usr/lib/postgresql', /^\d+$/),
    ...subfolders('/usr', /^pgsql-\d+$/),
    ...homebrew.flatMap((folder) => subfolders(folder, /^(postgresql@\d+|libpq)$/)),
    ...subfolders('/Applications/Postgres.app/Contents/Versions', /^\d+$/),
  ];
}

function subfolders(parent: string, form: RegExp): string[] {
  try {
    return readdirSync(parent)
      .filter((name) => form.test(name))
      .map((name) => join(parent, name, 'bin'));
  } catch {
    return [];
  }
}

export function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
