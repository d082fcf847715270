import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { promisify } from 'node:util';
import { PgsiloError } from '@pgsilo/plugin';

const run = promisify(execFile);

/** Who the processes of a scratch server are. */
export interface ServerUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** One made for it, else one that owns nothing. Never by itself the one that PostgreSQL's packages make: what tenants wrote runs in a scratch server, and a live one's files may be that user's. */
const candidates = ['pgsilo', 'nobody'];

/** The user that a server runs as; PostgreSQL refuses to run as root. Undefined: the one that we are. Throws `config.invalid` for one that does not exist or cannot be used. */
export async function serverUser(wanted: string | undefined): Promise<ServerUser | undefined> {
  if (process.getuid?.() !== 0) {
    if (wanted === undefined) return undefined;
    throw new PgsiloError(
      'config.invalid',
      `scratch.user names ${JSON.stringify(wanted)}, and only root can start a server as another user`,
      { hint: 'Leave it out: the server then runs as the user that pgsilo runs as.' },
    );
  }
  for (const name of wanted === undefined ? candidates : [wanted]) {
    const found = await userNamed(name);
    if (found && found.uid !== 0) return found;
  }
  throw new PgsiloError(
    'config.invalid',
    wanted === undefined
      ? `pgsilo runs as root, PostgreSQL does not, and there is no user for it on this machine (looked for ${candidates.join(', ')})`
      : `there is no user ${JSON.stringify(wanted)} on this machine that a PostgreSQL server can run as`,
    { hint: 'Make one, such as `useradd --system pgsilo`, or name one: scratch: { user: NAME }.' },
  );
}

async function userNamed(name: string): Promise<ServerUser | undefined> {
  const id = async (flag: string): Promise<number> => Number((await run('id', [flag, '--', name])).stdout);
  try {
    const [uid, gid] = [await id('-u'), await id('-g')];
    return Number.isInteger(uid) && Number.isInteger(gid) ? { name, uid, gid } : undefined;
  } catch {
    return undefined;
  }
}

/** Throws `config.invalid` when the user cannot pass through a folder on the way to this one. */
export async function mustReach(folder: string, user: ServerUser): Promise<void> {
  for (let at = resolve(folder); ; at = dirname(at)) {
    const about = await stat(at);
    const bit = about.uid === user.uid ? 0o100 : about.gid === user.gid ? 0o010 : 0o001;
    if ((about.mode & bit) === 0)
      throw new PgsiloError(
        'config.invalid',
        `the user ${user.name}, as which the server runs that backups are restored into, may not pass through ${at}`,
        {
          hint: `Allow it (chmod o+x), set scratch: to another folder, or name another user: scratch: { user: NAME }.`,
        },
      );
    if (dirname(at) === at) return;
  }
}
