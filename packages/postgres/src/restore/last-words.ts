/** How many lines at most the error for a failed program repeats. */
const mostLines = 8;

/** What a program says on stderr, for the log: its last lines wait until it is known whether an error repeats them. */
export class LastWords {
  readonly #log: (line: string) => void;
  #held: string[] = [];

  constructor(log: (line: string) => void) {
    this.#log = log;
  }

  add(line: string): void {
    this.#held.push(line);
    if (this.#held.length > mostLines) this.#log(this.#held.shift()!);
  }

  get text(): string {
    return this.#held.join('\n');
  }

  /** Logs what is left, without the lines that stand in `message`. */
  flush(message: string = ''): void {
    const said = new Set(message.split('\n'));
    for (const line of this.#held.splice(0)) {
      if (!said.has(line) && !message.includes(`: ${line}`)) this.#log(line);
    }
  }
}
