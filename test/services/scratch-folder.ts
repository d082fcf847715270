import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { processesWith } from './processes.ts';

/** A folder for `scratch:` that another user may pass through, and what is left in it and running from it. */
export interface ScratchFolder {
  readonly path: string;
  /** Names of files and arguments of processes; empty: nothing is left. */
  left(): Promise<string[]>;
  /** Throws when anything is. */
  mustBeEmpty(): Promise<void>;
  remove(): void;
}

export function scratchFolder(): ScratchFolder {
  const path = mkdtempSync('/tmp/pgsilo-proof-');
  chmodSync(path, 0o711);
  const left = async (): Promise<string[]> => {
    const running = await processesWith(`${path}/`);
    return [...readdirSync(path), ...running.map(({ command }) => command)];
  };
  return {
    path,
    left,
    async mustBeEmpty() {
      const found = await left();
      if (found.length > 0) throw new Error(`this was left: ${found.join(', ')}`);
    },
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
}
