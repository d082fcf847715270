import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/** `<space>-<pid>-<start>`: says precisely enough which process wrote something to know later whether it can still be alive. */
export function ownIdentity(): string {
  return identityOf(process.pid);
}

/** The identity of another process of this machine. */
export function identityOf(pid: number): string {
  return `${processSpace()}-${pid}-${startTime(pid) ?? '0'}`;
}

/** True only when that process is proved to be gone; false when it lives, or cannot be known from here. */
export function isGone(identity: string): boolean {
  const match = /^([0-9a-f]{16})-(\d+)-(\d+)$/.exec(identity);
  if (match === null || match[1] !== processSpace()) return false;
  const pid = Number(match[2]);
  const started = startTime(pid);
  return started === undefined ? !answers(pid) : started !== match[3];
}

let space: string | undefined;

/** The host, its boot and the process-number space that a pid counts in: containers may share all but the last. */
function processSpace(): string {
  space ??= createHash('sha256').update(`${hostname()} ${bootAndNamespace()}`).digest('hex').slice(0, 16);
  return space;
}

function bootAndNamespace(): string {
  try {
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return '';
  }
}

/** Field 22 of /proc/PID/stat, in clock ticks since boot; counted after the last `)`, because the command's name may hold anything. */
function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

function answers(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH');
  }
}
