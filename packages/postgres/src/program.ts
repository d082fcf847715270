/** A program and how it is started. */
export interface Program {
  /** A path, or what the far side finds by its own PATH. */
  readonly command: string;
  /** Stands before the command: `['docker', 'exec', '-i', 'postgres']`. Empty: the program runs here. */
  readonly prefix: readonly string[];
  /** Whether the prefix hands its arguments to a shell, as ssh does. */
  readonly quoting: 'none' | 'posix';
}

/** File and arguments to start, as they go to the operating system; no shell of this machine reads them. */
export function commandLine(program: Program, args: readonly string[]): [file: string, argv: string[]] {
  const own = [program.command, ...args];
  const all = [...program.prefix, ...(program.quoting === 'posix' ? own.map(quoteForPosixShell) : own)];
  return [all[0]!, all.slice(1)];
}

function quoteForPosixShell(argument: string): string {
  return /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", `'\\''`)}'`;
}
