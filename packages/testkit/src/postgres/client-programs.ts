import { spawnSync } from 'node:child_process';

/** One program that runs. */
export interface RunningProgram {
  readonly pid: number;
  /** Its arguments, as ps(1) shows them. */
  readonly command: string;
}

/**
 * PostgreSQL's client programs (pg_dump, pg_dumpall, pg_restore, psql) below this process: its children, and theirs, because a source may have another process start them.
 * @throws Error where the machine's processes cannot be listed: nothing found would then say nothing.
 */
export function clientPrograms(): readonly RunningProgram[] {
  const { status, stdout } = spawnSync('ps', ['-A', '-ww', '-o', 'pid=,ppid=,args='], {
    encoding: 'utf8',
    maxBuffer: 64 * 2 ** 20,
  });
  const all = stdout.split('\n').flatMap((line) => {
    const [, pid, parent, command] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? [];
    return command === undefined ? [] : [{ pid: Number(pid), parent: Number(parent), command }];
  });
  if (status !== 0 || !all.some(({ pid }) => pid === process.pid))
    throw new Error('the processes of this machine cannot be listed by ps');
  const own = new Set([process.pid]);
  for (let size = 0; size !== own.size;) {
    size = own.size;
    for (const { pid, parent } of all) if (own.has(parent)) own.add(pid);
  }
  return all
    .filter(({ pid, command }) => own.has(pid) && isClient(command))
    .map(({ pid, command }) => ({ pid, command }));
}

function isClient(command: string): boolean {
  return /^\S*\/?(?:pg_dump|pg_dumpall|pg_restore|psql)(?: |$)/.test(command);
}
