import { execa } from 'execa';
import type { RunningProcess } from './processes.ts';

/** The children of a process, and theirs, that run now; zombies are none. */
export async function descendantsOf(pid: number): Promise<RunningProcess[]> {
  const { stdout } = await execa('ps', ['-A', '-ww', '-o', 'pid=,ppid=,stat=,args=']);
  const all = stdout
    .split('\n')
    .map((line) => /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/s.exec(line))
    .filter((match) => match !== null)
    .filter((match) => !match[3]!.startsWith('Z'))
    .map((match) => ({ pid: Number(match[1]), parent: Number(match[2]), command: match[4]! }));
  const found: RunningProcess[] = [];
  const parents = [pid];
  for (let parent = parents.pop(); parent !== undefined; parent = parents.pop()) {
    for (const each of all.filter((one) => one.parent === parent)) {
      found.push({ pid: each.pid, command: each.command });
      parents.push(each.pid);
    }
  }
  return found;
}

export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
