import type { Place } from './source-file.ts';

/** A value of a pipeline file that knows where it was written. Trees share parts where the file has aliases; nothing changes a node. */
export type Located = LocatedMap | LocatedList | LocatedScalar;

export interface LocatedMap {
  readonly kind: 'map';
  readonly place: Place;
  readonly entries: ReadonlyMap<string, LocatedEntry>;
}

export interface LocatedEntry {
  readonly key: Place;
  readonly value: Located;
}

export interface LocatedList {
  readonly kind: 'list';
  readonly place: Place;
  readonly items: readonly Located[];
}

export interface LocatedScalar {
  readonly kind: 'scalar';
  readonly place: Place;
  readonly value: string | number | boolean | null;
  /** Set where the text holds placeholders. */
  readonly filled?: Filled;
}

/** What became of a scalar with placeholders. */
export interface Filled {
  /** The text with its placeholders, as it may be shown. */
  readonly written: string;
  /** The scalar is one placeholder and nothing else. */
  readonly whole: boolean;
  /** What was filled in. Never shown. */
  readonly parts: readonly string[];
  /** A placeholder could not be filled; that mistake is reported, and others at the same value would only repeat it. */
  readonly broken: boolean;
}

export type Path = readonly (string | number)[];

/** The node at a path, or undefined. */
export function nodeAt(root: Located, path: Path): Located | undefined {
  let node: Located | undefined = root;
  for (const step of path) {
    if (node?.kind === 'map') node = node.entries.get(String(step))?.value;
    else if (node?.kind === 'list') node = node.items[Number(step)];
    else return undefined;
  }
  return node;
}

/** The place of the key that a path ends with, where it is there. */
export function keyAt(root: Located, path: Path): Place | undefined {
  const parent = nodeAt(root, path.slice(0, -1));
  return parent?.kind === 'map' ? parent.entries.get(String(path.at(-1)))?.key : undefined;
}

/** The place of the node at a path, or of the nearest thing around it that is there. */
export function placeAt(root: Located, path: Path): Place {
  for (let length = path.length; length > 0; length -= 1) {
    const node = nodeAt(root, path.slice(0, length));
    if (node) return node.place;
  }
  return root.place;
}

/** Plain data for zod; `replace` may give a scalar another value. */
export function toPlain(node: Located, replace?: ReadonlyMap<LocatedScalar, unknown>): unknown {
  if (node.kind === 'scalar') return replace?.has(node) ? replace.get(node) : node.value;
  if (node.kind === 'list') return node.items.map((item) => toPlain(item, replace));
  return Object.fromEntries([...node.entries].map(([key, entry]) => [key, toPlain(entry.value, replace)]));
}

/** The map without some keys. */
export function without(map: LocatedMap, keys: (key: string) => boolean): LocatedMap {
  return { ...map, entries: new Map([...map.entries].filter(([key]) => !keys(key))) };
}

/** `sinks[1].bucket`; names that are not plain words are quoted. */
export function pathText(path: Path): string {
  return path
    .map((step, index) => {
      if (typeof step === 'number') return `[${step}]`;
      if (!/^[\w@-]{1,60}$/.test(step)) return `[${quote(step)}]`;
      return index === 0 ? step : `.${step}`;
    })
    .join('');
}

// Anything that could move a terminal's cursor, change its colours, or turn the direction of writing round.
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** Text without what a terminal would obey. Tabs become spaces, so that columns stay. */
export function printable(text: string): string {
  return text.replaceAll('\t', ' ').replaceAll(unprintable, '\u{FFFD}');
}

/** A name in double quotes, short and printable. */
export function quote(text: string, longest: number = 60): string {
  return JSON.stringify(printable(text.length > longest ? `${text.slice(0, longest)}…` : text));
}
