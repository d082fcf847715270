import { execFileSync } from 'node:child_process';
import { accessSync, constants, readdirSync, realpathSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';

/** The newest PostgreSQL server of this machine, or the newest of one major version: the folder that holds `initdb` and `postgres`. */
export function findServerPrograms(major?: number): { readonly bin: string; readonly major: number } {
  const found = candidates()
    .filter((bin) => isProgram(join(bin, 'initdb')) && isProgram(join(bin, 'postgres')))
    // A folder in PATH may hold links to some of the programs only.
    .map((bin) => dirname(realpathSync(join(bin, 'initdb'))))
    .map((bin) => ({ bin, major: majorOf(join(bin, 'postgres')) }))
    .filter((one) => major === undefined || one.major === major)
    .sort((a, b) => b.major - a.major);
  if (found[0]) return found[0];
  throw new Error(
    `no PostgreSQL ${major ?? ''} server was found on this machine; install its package (Debian and Ubuntu: apt-get install postgresql)`,
  );
}

function candidates(): string[] {
  const path = (process.env['PATH'] ?? '').split(delimiter).filter(Boolean);
  return [
    ...path,
    ...versioned('/usr/lib/postgresql', (version) => `${version}/bin`),
    ...versioned('/usr', (folder) => (folder.startsWith('pgsql-') ? `${folder}/bin` : undefined)),
    ...['/opt/homebrew/opt', '/usr/local/opt'].flatMap((folder) =>
      versioned(folder, (name) => (name.startsWith('postgresql') ? `${name}/bin` : undefined)),
    ),
    ...versioned('/Applications/Postgres.app/Contents/Versions', (version) => `${version}/bin`),
  ];
}

function versioned(folder: string, pick: (name: string) => string | undefined): string[] {
  try {
    return readdirSync(folder).flatMap((name) => {
      const picked = pick(name);
      return picked === undefined ? [] : [join(folder, picked)];
    });
  } catch {
    return [];
  }
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function majorOf(program: string): number {
  const version = execFileSync(program, ['--version'], { encoding: 'utf8' });
  return Number(/(\d+)(?:\.\d+|devel|beta\d|rc\d)/.exec(version)?.[1] ?? 0);
}

/** The user that servers run as: PostgreSQL refuses to run as root. Undefined: the one that we are. */
export function serverUser(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ['postgres', '_postgres', 'nobody']) {
    try {
      const id = (flag: string): number =>
        Number(execFileSync('id', [flag, name], { encoding: 'utf8', stdio: 'pipe' }));
      return { uid: id('-u'), gid: id('-g') };
    } catch {
      continue;
    }
  }
  throw new Error('running as root, and there is no user (postgres, nobody) to run a PostgreSQL server as');
}
