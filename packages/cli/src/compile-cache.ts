import { mkdirSync, statSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/**
 * Keeps the compiled form of the command and its plugins between calls, in the user's cache folder: it starts in half the time.
 * Never in the temporary folder, which is where Node would put it: who makes that folder first could have others run what he likes. For the same reason not in a folder of
 * another user, which HOME names under `sudo`. Without a folder it starts as ever.
 */
export function keepCompiled(env: NodeJS.ProcessEnv): void {
  try {
    const given = env['XDG_CACHE_HOME'];
    const base = given && isAbsolute(given) ? given : join(homedir(), '.cache');
    mkdirSync(base, { recursive: true, mode: 0o700 });
    const folder = join(base, 'pgsilo');
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    if (isOwn(base) && isOwn(folder)) enableCompileCache(folder);
  } catch {
    // A home that is not there, or is read-only.
  }
}

/** Whether nobody else can put anything there. */
function isOwn(folder: string): boolean {
  const { uid, mode } = statSync(folder);
  return uid === process.getuid?.() && (mode & 0o022) === 0;
}
