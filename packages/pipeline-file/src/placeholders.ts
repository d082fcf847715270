import path from 'node:path';
import type { Findings } from './findings.ts';
import { quote } from './located.ts';
import type { Filled, Located, LocatedEntry, LocatedScalar, Path } from './located.ts';
import { didYouMean } from './nearest.ts';
import { readText, UnreadableText } from './source-file.ts';
import type { Place } from './source-file.ts';

/** Bytes of a file that `${file:…}` reads: keys and passwords are small. */
const largestValue = 65_536;
const variableName = /^[A-Za-z_][A-Za-z0-9_]*$/;
const names = ['env', 'file'] as const;

/** Why one placeholder has no value. */
class Unfillable extends Error {
  override readonly name = 'Unfillable';
  readonly hint: string | undefined;

  constructor(message: string, hint?: string, cause?: unknown) {
    super(message, { cause });
    this.hint = hint;
  }
}

/**
 * Fills `${env:NAME}` and `${file:path}` into strings, after parsing: a value is never read as YAML, and placeholders in it are not filled again.
 */
export class Placeholders {
  readonly #env: Readonly<Record<string, string | undefined>>;
  readonly #findings: Findings;
  readonly #files = new Map<string, string>();

  constructor(env: Readonly<Record<string, string | undefined>>, findings: Findings) {
    this.#env = env;
    this.#findings = findings;
  }

  /** The same tree with strings filled in. What cannot be filled keeps its text, is marked broken, and is reported. */
  async fill(node: Located, at: Path): Promise<Located> {
    if (node.kind === 'scalar') return await this.#fillScalar(node, at);
    if (node.kind === 'list') {
      const items: Located[] = [];
      for (const [index, item] of node.items.entries()) items.push(await this.fill(item, [...at, index]));
      return { ...node, items };
    }
    const entries = new Map<string, LocatedEntry>();
    for (const [name, entry] of node.entries) {
      if (/\$\{(?:env|file):/.test(name)) {
        const hint = 'write the name itself; only values are filled in';
        this.#findings.add({ at: entry.key, path: at, message: 'a placeholder stands in a name', hint });
      }
      entries.set(name, { key: entry.key, value: await this.fill(entry.value, [...at, name]) });
    }
    return { ...node, entries };
  }

  async #fillScalar(scalar: LocatedScalar, at: Path): Promise<LocatedScalar> {
    if (typeof scalar.value !== 'string' || !scalar.value.includes('${')) return scalar;
    const written = scalar.value;
    const parts: string[] = [];
    let value = '';
    let rest = 0;
    let broken = false;
    let pieces = 0;
    for (const match of written.matchAll(/\$\$\{|\$\{([^{}]*)(\}?)/g)) {
      value += written.slice(rest, match.index);
      rest = match.index + match[0].length;
      pieces += 1;
      if (match[0] === '$${') {
        value += '${';
        continue;
      }
      try {
        const part = await this.#value(match[1]!, match[2] === '}', scalar.place);
        parts.push(part);
        value += part;
      } catch (error) {
        if (!(error instanceof Unfillable)) throw error;
        broken = true;
        const cause = error.cause === undefined ? {} : { cause: error.cause };
        this.#findings.add({
          at: scalar.place,
          path: at,
          message: error.message,
          hint: error.hint,
          ...cause,
        });
      }
    }
    value += written.slice(rest);
    // Only an escaped `$${`: nothing came from elsewhere.
    if (parts.length === 0 && !broken) return { ...scalar, value };
    const whole = pieces === 1 && /^\$\{[^{}]*\}$/.test(written);
    const filled: Filled = { written, whole, parts, broken };
    return { ...scalar, value: broken ? written : value, filled };
  }

  async #value(inside: string, closed: boolean, place: Place): Promise<string> {
    const shown = quote(`\${${inside}${closed ? '}' : ''}`, 100);
    if (!closed) throw new Unfillable(`${shown} has no closing }`, escapeHint);
    const colon = inside.indexOf(':');
    if (colon === -1) {
      const hint = variableName.test(inside) ? `write \${env:${inside}}; ` : '';
      throw new Unfillable(`${shown} is not a placeholder`, hint + escapeHint);
    }
    const name = inside.slice(0, colon);
    const argument = inside.slice(colon + 1);
    if (name === 'env') return this.#variable(argument);
    if (name === 'file') return await this.#file(argument, place);
    throw new Unfillable(`${shown} is not a placeholder`, didYouMean(name, names) ?? escapeHint);
  }

  #variable(name: string): string {
    if (!variableName.test(name)) throw new Unfillable(`${quote(name)} cannot be the name of a variable`);
    const value = Object.hasOwn(this.#env, name) ? this.#env[name] : undefined;
    if (value === undefined) {
      const hint = didYouMean(name, Object.keys(this.#env)) ?? 'export it before pgsilo is started';
      throw new Unfillable(`the environment variable ${name} is not set`, hint);
    }
    if (value === '') throw new Unfillable(`the environment variable ${name} is empty`);
    return value;
  }

  async #file(name: string, place: Place): Promise<string> {
    if (name.trim() === '') throw new Unfillable('${file:} names no file');
    const file = path.resolve(place.file.folder, name);
    let value = this.#files.get(file);
    if (value === undefined) {
      try {
        value = (await readText(file, largestValue)).replace(/\r?\n$/, '');
      } catch (error) {
        if (!(error instanceof UnreadableText)) throw error;
        throw new Unfillable(
          `the file ${quote(name, 200)} cannot be read: ${error.message}`,
          undefined,
          error,
        );
      }
      this.#files.set(file, value);
    }
    if (value === '') throw new Unfillable(`the file ${quote(name, 200)} is empty`);
    if (value.includes('\0')) throw new Unfillable(`the file ${quote(name, 200)} holds a zero byte`);
    return value;
  }
}

const escapeHint = 'for the characters themselves write $${';
