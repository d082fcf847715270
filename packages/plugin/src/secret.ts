import { inspect } from 'node:util';

const shown = '[secret]';

/**
 * Values to be blotted out of any text. One set for the whole process: an installed plugin may carry a copy of this package.
 * Short ones are left out: blotting out every "a" hides nothing and spoils all output.
 */
const registry = globalThis as { [key: symbol]: Set<string> | undefined };
const known: Set<string> = (registry[Symbol.for('pgsilo.secrets.1')] ??= new Set());
const shortestKnown = 4;
/** Words of every second message. As a password they protect nothing, and blotting them out would show which one it is. */
const ordinary: ReadonlySet<string> = new Set([
  'admin',
  'database',
  'localhost',
  'password',
  'pgsilo',
  'postgres',
  'public',
  'root',
  'secret',
  'test',
  'user',
]);
/** Up to this length a value of letters and digits is looked for as a word of its own only. */
const longestWord = 11;

/** Marks a secret whatever copy of this package made it. */
const mark = Symbol.for('pgsilo.secret.1');

/**
 * A string that does not print: not by `String()`, JSON, `console.log` or a template. `reveal()` is the only way to the value, so that each use can be found.
 * Creating one makes the process remember the value for {@link redact}, and its form in URLs. Only whole values are looked for: of a text with several secrets in it, each becomes a `Secret` of its own.
 */
export class Secret {
  static {
    Object.defineProperty(this.prototype, inspect.custom, { value: () => shown });
    Object.defineProperty(this.prototype, mark, { value: true });
  }

  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
    if (value.length < shortestKnown || ordinary.has(value)) return;
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

/** Whether a value is a {@link Secret}, of whatever copy of this package. */
export function isSecret(value: unknown): value is Secret {
  return typeof value === 'object' && value !== null && mark in value;
}

/** Blots every known secret out of text that came from elsewhere: a child's stderr, a server's message, a library's error. */
export function redact(text: string): string {
  let clean = text;
  for (const value of [...known].sort((a, b) => b.length - a.length)) {
    if (!clean.includes(value)) continue;
    const word = value.length <= longestWord && /^\w+$/.test(value);
    clean = word
      ? clean.replaceAll(new RegExp(`\\b${value}\\b`, 'g'), shown)
      : clean.replaceAll(value, shown);
  }
  return clean;
}
