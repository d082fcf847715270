import { inspect } from 'node:util';

const shown = '[secret]';

/**
 * Values to be blotted out of any text. One set for the whole process: an installed plugin may carry a copy of this package.
 * Short ones are left out: blotting out every "a" hides nothing and spoils all output.
 */
const registry = globalThis as { [key: symbol]: Set<string> | undefined };
const known: Set<string> = (registry[Symbol.for('pgsilo.secrets.1')] ??= new Set());
const shortestKnown = 4;

/**
 * A string that does not print: not by `String()`, JSON, `console.log` or a template. `reveal()` is the only way to the value, so that each use can be found.
 * Creating one makes the process remember the value for {@link redact}.
 */
export class Secret {
  static {
    Object.defineProperty(this.prototype, inspect.custom, { value: () => shown });
  }

  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
    if (value.length < shortestKnown) return;
    known.add(value);
    known.add(encodeURIComponent(value));
  }

  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return shown;
  }

  toJSON(): string {
    return shown;
  }
}

/** Blots every known secret out of text that came from elsewhere: a child's stderr, a server's message, a library's error. */
export function redact(text: string): string {
  let clean = text;
  for (const value of [...known].sort((a, b) => b.length - a.length)) {
    if (clean.includes(value)) clean = clean.replaceAll(value, shown);
  }
  return clean;
}
