import { readdirSync, readFileSync } from 'node:fs';

/** What other users of the machine may see of processes while a test runs: their arguments. */
export interface ArgumentWatch {
  /** Arguments of processes, each once, as far as they hold one of the texts. */
  readonly found: ReadonlySet<string>;
  stop(): void;
}

const everyMilliseconds = 50;

/** Looks at the arguments of all processes again and again. Linux only; elsewhere it sees nothing. */
export function watchArguments(texts: readonly string[]): ArgumentWatch {
  const found = new Set<string>();
  const look = (): void => {
    for (const name of processes()) {
      const line = argumentsOf(name);
      if (texts.some((text) => line.includes(text))) found.add(line);
    }
  };
  const timer = setInterval(look, everyMilliseconds);
  return { found, stop: () => clearInterval(timer) };
}

function processes(): string[] {
  try {
    return readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
}

function argumentsOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}
