/**
 * pg_restore 17 and later begins each connection with `SET transaction_timeout = 0`, which servers before 17 do not know; with `--exit-on-error` that
 * would be the end. For such a pair it runs without that option, and this watches its words in its place: any other error is one too many.
 */
export class RestoreErrors {
  #expected = 0;
  #pending: string | undefined;
  #last = '';
  readonly #onForeign: (line: string) => void;

  /** @param onForeign called at the first error that is not the expected one. */
  constructor(onForeign: (line: string) => void) {
    this.#onForeign = onForeign;
  }

  /** Takes the next line of stderr. Returns the lines that are of interest to anybody: none, this one, or also the one before. */
  line(line: string): readonly string[] {
    this.#last = line;
    const before: string[] = [];
    if (this.#pending !== undefined) {
      const first = this.#pending;
      this.#pending = undefined;
      if (line.trim() === 'Command was: SET transaction_timeout = 0;') {
        this.#expected += 1;
        return [];
      }
      before.push(first);
      this.#onForeign(first);
    }
    if (/^pg_restore: error: .*\btransaction_timeout\b/.test(line)) {
      this.#pending = line;
      return before;
    }
    if (line.startsWith('pg_restore: error: ')) this.#onForeign(line);
    return summary.test(line) ? before : [...before, line];
  }

  /** Whether pg_restore came to its end and failed over nothing else. */
  get onlyExpected(): boolean {
    return this.#expected > 0 && this.#pending === undefined && summary.test(this.#last);
  }
}

/** What pg_restore says last when it went on after errors. */
const summary = /^pg_restore: warning: errors ignored on restore: \d+$/;

/** Whether every connection of this pg_restore to this server begins with an error. */
export function failsAtFirst(toolMajor: number, serverMajor: number): boolean {
  return toolMajor >= 17 && serverMajor < 17;
}
