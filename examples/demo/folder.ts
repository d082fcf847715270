import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const runningFile = 'running.pid';
const markFile = '.gitignore';
/** The folder's own mark: it keeps git away, and says to the next demo that the folder may be emptied. */
const mark = '# made by the demo of pgsilo, which empties this folder each time\n*\n';

/** An empty folder for the demo's files: `wanted`, or one of its own in the temporary folder when `wanted` cannot be written. */
export function makeDemoFolder(wanted: string): string {
  const folder = isWritable(wanted) ? wanted : mkdtempSync(join(tmpdir(), 'pgsilo-demo-'));
  if (existsSync(folder) && folder === wanted) {
    if (!existsSync(join(folder, markFile)) || readFileSync(join(folder, markFile), 'utf8') !== mark) {
      throw new Error(
        `${folder} was not made by the demo, and is left alone; remove it or choose another with --folder`,
      );
    }
    const pid = Number(readText(join(folder, runningFile)));
    if (pid > 0 && isRunning(pid))
      throw new Error(`another demo uses ${folder} (process ${pid}); end it with Ctrl-C first`);
    rmSync(folder, { recursive: true, force: true });
  }
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  chmodSync(folder, 0o700);
  writeFileSync(join(folder, markFile), mark);
  writeFileSync(join(folder, runningFile), `${process.pid}\n`);
  return folder;
}

/** Says that no demo uses the folder any more; what it made stays to be looked at. */
export function leaveDemoFolder(folder: string): void {
  rmSync(join(folder, runningFile), { force: true });
}

function isWritable(folder: string): boolean {
  try {
    accessSync(existsSync(folder) ? folder : join(folder, '..'), constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
