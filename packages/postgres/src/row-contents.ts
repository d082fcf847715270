/**
 * Leaves the contents of rows out of what a client program says, line by line: an error that stops a COPY or an index repeats values of the row in its
 * DETAIL and CONTEXT, which belong in no log. Table, line, column and constraint stay. The server may speak any language, so that forms count, not words.
 */
export class WithoutRowContents {
  /** `copy`: after an error of COPY, where only what is known to be harmless passes; `value`: within a value of several lines. */
  #within: 'copy' | 'value' | undefined;

  /** The line as it may be shown; undefined when nothing of it may. */
  line(line: string): string | undefined {
    if (/^pg_\w+: /.test(line)) {
      this.#within = /\bCOPY failed for table\b/.test(line) ? 'copy' : undefined;
      return this.#within ? withoutValue(line) : line;
    }
    if (errorOfPsql.test(line)) {
      this.#within = 'copy';
      return withoutValue(line);
    }
    const place = placeOfCopy.exec(line);
    if (place) {
      this.#within ??= 'value';
      return place[1];
    }
    if (this.#within === 'copy') return harmlessAfterCopy.test(line) ? line : undefined;
    if (/^(?:HINT|CONTEXT|QUERY|Command was):/.test(line)) this.#within = undefined;
    if (this.#within) return undefined;
    if (!line.startsWith('DETAIL:')) return line;
    const key = line.indexOf(')=(');
    if (key === -1 && !/^DETAIL:\s+Failing row/.test(line)) return line;
    this.#within = 'value';
    return key === -1 ? undefined : line.slice(0, key + 1);
  }
}

/** psql says only afterwards, in the CONTEXT, whether it was COPY that failed. */
const errorOfPsql = /^psql:.*?:\d+: (?!WARNING|NOTICE)/;

/** `COPY orders, line 3, column total: "…"` up to the value. */
const placeOfCopy = /^((?:CONTEXT:\s+)?COPY .*?, \S+ \d+(?:, [^:]*)?)(?::.*)?$/;
const harmlessAfterCopy = /^(?:HINT:|Command was:|CONTEXT:\s+(?:PL\/pgSQL|SQL) function )/;

/** The error of COPY itself may end with the value that it cannot read. */
function withoutValue(line: string): string {
  const start = line.indexOf('": ') + 3;
  const words = line
    .slice(start)
    .replace(/: ".*$/, '')
    .replace(/\bvalue ".*"/, 'value');
  return line.slice(0, start) + words;
}
