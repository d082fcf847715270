import { isAlias, isMap, isScalar, isSeq, parseDocument } from 'yaml';
import type { Pair, Scalar, YAMLMap } from 'yaml';
import type { Findings } from './findings.ts';
import type { Located, LocatedEntry, LocatedMap, LocatedScalar, Path } from './located.ts';
import { quote } from './located.ts';
import type { Place, SourceFile } from './source-file.ts';
import { reportSyntax } from './syntax.ts';

const deepest = 50;
/** Values in a file after its aliases are written out: what a few lines of aliases to aliases could otherwise turn into billions. */
const mostValues = 100_000;

/** Reads YAML 1.2 (JSON is YAML) into a tree that knows its places. Undefined when that cannot be; what is wrong is in `findings`. */
export function parseText(file: SourceFile, findings: Findings): LocatedMap | undefined {
  const control = /[^\t\n\r\u0020-\u007E\u0085\u00A0-\uFFFF]/.exec(file.text);
  if (control) {
    const at = { file, start: control.index, end: control.index + 1 };
    findings.add({ at, path: [], message: 'a control character stands here', hint: 'remove it' });
    return undefined;
  }
  const document = parseDocument(file.text, {
    version: '1.2',
    schema: 'core',
    merge: false,
    stringKeys: true,
    // Looked for below: the library compares each key with each other.
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: 'error',
  });
  if (reportSyntax(file, document, findings)) return undefined;
  const start = { file, start: 0, end: 0 };
  if (document.contents === null || (isScalar(document.contents) && document.contents.value === null)) {
    findings.add({ at: start, path: [], message: 'the file is empty' });
    return undefined;
  }
  file.values = [];
  const converter = new Converter(file, findings);
  const root = converter.convert(document.contents, start, [], 0);
  if (converter.failed || root === undefined) return undefined;
  if (root.kind === 'map') return root;
  findings.add({
    at: root.place,
    path: [],
    message: `expected options, not ${root.kind === 'list' ? 'a list' : 'a single value'}`,
    hint: 'a pipeline file begins like this: pipeline: my-tenants',
  });
  return undefined;
}

class Converter {
  readonly #file: SourceFile;
  readonly #findings: Findings;
  /** In the order of the file: an alias means the last anchor of that name before it. */
  readonly #anchors = new Map<string, { node: Located; values: number }>();
  #values = 0;
  failed = false;

  constructor(file: SourceFile, findings: Findings) {
    this.#file = file;
    this.#findings = findings;
  }

  convert(node: unknown, fallback: Place, path: Path, depth: number): Located | undefined {
    const place = this.#place(node) ?? fallback;
    if (isAlias(node)) return this.#alias(node.source, place, path);
    if (depth > deepest) return this.#fail(place, path, `nested more than ${deepest} levels deep`);
    const before = this.#values;
    if (!this.#count(1, place, path)) return undefined;
    let located: Located | undefined;
    if (isMap(node)) located = this.#map(node, place, path, depth);
    else if (isSeq(node)) {
      const items = node.items.map((item, index) => this.convert(item, place, [...path, index], depth + 1));
      located = { kind: 'list', place, items: items.filter((item) => item !== undefined) };
    } else located = this.#scalar(node, place, fallback, path);
    const anchor = (node as { anchor?: string } | null)?.anchor;
    if (anchor !== undefined && located) {
      this.#anchors.set(anchor, { node: located, values: this.#values - before });
    }
    return located;
  }

  #scalar(node: unknown, place: Place, fallback: Place, path: Path): LocatedScalar | undefined {
    if (node === null || node === undefined) return { kind: 'scalar', place: fallback, value: null };
    const value = isScalar(node) ? node.value : undefined;
    const plain = value === null || ['string', 'number', 'boolean'].includes(typeof value);
    if (!plain) return this.#fail(place, path, 'a value of this type is not supported here');
    // Nothing is written: what a person can be shown is the key.
    const empty = value === null && place.end <= place.start;
    this.#file.values?.push(place);
    return { kind: 'scalar', place: empty ? fallback : place, value: value as LocatedScalar['value'] };
  }

  #map(node: YAMLMap, place: Place, path: Path, depth: number): LocatedMap {
    const entries = new Map<string, LocatedEntry>();
    const merged: LocatedMap[] = [];
    for (const pair of node.items as Pair<Scalar | null, unknown>[]) {
      const key = this.#place(pair.key) ?? place;
      const name = String(pair.key?.value ?? '');
      if (name === '<<' && pair.key?.type === 'PLAIN') {
        merged.push(...this.#mergeSources(pair.value, key, path, depth));
        continue;
      }
      const inner = [...path, name];
      const value = this.convert(pair.value, key, inner, depth + 1);
      const first = entries.get(name);
      if (first) {
        const line = this.#file.lines.linePos(first.key.start).line;
        this.#fail(key, inner, `${quote(name)} is given twice; the first is in line ${line}`);
      } else if (name === '__proto__') {
        this.#fail(key, inner, `${quote(name)} cannot be used as a name`);
      } else if (value) entries.set(name, { key, value });
    }
    for (const source of merged) {
      if (!this.#count(source.entries.size, place, path)) break;
      for (const [name, entry] of source.entries) if (!entries.has(name)) entries.set(name, entry);
    }
    return { kind: 'map', place, entries };
  }

  #mergeSources(node: unknown, key: Place, path: Path, depth: number): LocatedMap[] {
    const value = this.convert(node, key, [...path, '<<'], depth + 1);
    if (!value) return [];
    const sources = value.kind === 'list' ? value.items : [value];
    const maps = sources.filter((source) => source.kind === 'map');
    if (maps.length !== sources.length) this.#fail(key, path, '"<<" takes a map or a list of maps');
    return maps;
  }

  #alias(name: string, place: Place, path: Path): Located | undefined {
    const anchor = this.#anchors.get(name);
    // Unnamed: a password may begin with `*`.
    if (!anchor)
      return this.#fail(
        place,
        path,
        'this alias has no anchor before it',
        '* begins an alias: put a value in quotes',
      );
    return this.#count(anchor.values, place, path) ? anchor.node : undefined;
  }

  #count(values: number, at: Place, path: Path): boolean {
    const full = this.#values > mostValues;
    this.#values += values;
    if (this.#values <= mostValues) return true;
    if (!full) this.#fail(at, path, `more than ${mostValues} values, aliases written out`);
    this.failed = true;
    return false;
  }

  #place(node: unknown): Place | undefined {
    const range = (node as { range?: readonly number[] | null } | null | undefined)?.range;
    return range ? { file: this.#file, start: range[0]!, end: range[1]! } : undefined;
  }

  #fail(at: Place, path: Path, message: string, hint?: string): undefined {
    this.failed = true;
    this.#findings.add({ at, path, message, hint });
    return undefined;
  }
}
