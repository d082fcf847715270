import { execa } from 'execa';

export interface RunningProcess {
  readonly pid: number;
  readonly command: string;
}

/** The processes of this machine whose arguments hold `text`, this one and its parents' shells aside. */
export async function processesWith(text: string): Promise<RunningProcess[]> {
  const { stdout } = await execa('ps', ['-A', '-ww', '-o', 'pid=,args=']);
  return stdout
    .split('\n')
    .map((line) => /^\s*(\d+)\s+(.*)$/s.exec(line))
    .filter((match) => match !== null)
    .map((match) => ({ pid: Number(match[1]), command: match[2]! }))
    .filter(
      ({ pid, command }) => pid !== process.pid && command.includes(text) && !command.startsWith('ps -A'),
    );
}
