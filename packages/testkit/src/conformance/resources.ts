import { readdirSync } from 'node:fs';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { broken } from './check.ts';

let collectGarbage: (() => void) | undefined;

/** Bytes that the process holds on to: buffers and heap, after a collection. */
export async function heldBytes(): Promise<number> {
  if (collectGarbage === undefined) {
    setFlagsFromString('--expose-gc');
    collectGarbage = runInNewContext('gc') as () => void;
  }
  // Buffers are freed behind the collector's back, and counted off at the next one.
  collectGarbage();
  await nextTurn();
  collectGarbage();
  const { arrayBuffers, heapUsed } = process.memoryUsage();
  return arrayBuffers + heapUsed;
}

/** What is open: sockets, timers, children, and files where the system tells. */
export type OpenResources = ReadonlyMap<string, number>;

export function openResources(): OpenResources {
  const counts = new Map<string, number>();
  for (const name of process.getActiveResourcesInfo()) counts.set(name, (counts.get(name) ?? 0) + 1);
  const files = openFiles();
  if (files !== undefined) counts.set('open file', files);
  return counts;
}

/** Throws unless, within a few seconds, nothing is open that was not open before. */
export async function mustHaveClosed(before: OpenResources, what: string): Promise<void> {
  let left: string[] = [];
  for (let turn = 0; turn < 40; turn += 1) {
    left = [...openResources()].flatMap(([name, count]) => {
      const more = count - (before.get(name) ?? 0);
      return more > 0 ? [`${more} x ${name}`] : [];
    });
    if (left.length === 0) return;
    await sleep(50);
  }
  broken(`${what} left open: ${left.join(', ')}`);
}

function openFiles(): number | undefined {
  try {
    // The folder itself is open while it is read, at each call alike.
    return readdirSync('/proc/self/fd').length;
  } catch {
    return undefined;
  }
}
