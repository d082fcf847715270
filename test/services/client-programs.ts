import { chmodSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestServer } from './server.ts';

type Program = 'pg_dump' | 'pg_dumpall' | 'pg_restore';

/**
 * A folder for `bin:` in which some client programs are shell scripts and the others the real ones. In a script `$REAL` is the program it stands for;
 * it is not asked for its version.
 */
export function standIns(server: TestServer, scripts: Readonly<Partial<Record<Program, string>>>): string {
  const bin = mkdtempSync(join(server.folder, 'bin-'));
  for (const name of ['pg_dump', 'pg_dumpall', 'pg_restore'] as const) {
    const real = join(server.bin, name);
    const path = join(bin, name);
    const script = scripts[name];
    if (script === undefined) symlinkSync(real, path);
    else {
      writeFileSync(
        path,
        `#!/bin/sh\nREAL='${real}'\n[ "$1" = --version ] && exec "$REAL" --version\n${script}\n`,
      );
      chmodSync(path, 0o755);
    }
  }
  return bin;
}

/** A script that does `special` for one database and is the real program for all others. */
export function onlyFor(database: string, special: string): string {
  return `case "$*" in *"dbname='${database}'"*) ${special} ;; esac\nexec "$REAL" "$@"`;
}
