import { realpath } from 'node:fs/promises';
import path from 'node:path';
import type { Findings } from './findings.ts';
import { quote, without } from './located.ts';
import type { Located, LocatedMap, LocatedScalar } from './located.ts';
import { parseText } from './parse.ts';
import type { Placeholders } from './placeholders.ts';
import { largestFile, readText, SourceFile, UnreadableText } from './source-file.ts';
import type { Place } from './source-file.ts';

const mostFiles = 50;

/** A file on the way down from the main one. */
interface Step {
  /** Without symbolic links: one file has one identity. */
  readonly identity: string;
  readonly source: SourceFile;
}

/** Reads a pipeline file and all that it extends. Each file is read once, however often it is named. */
export class Inheritance {
  readonly #findings: Findings;
  readonly #placeholders: Placeholders;
  readonly #trees = new Map<string, LocatedMap | undefined>();

  constructor(findings: Findings, placeholders: Placeholders) {
    this.#findings = findings;
    this.#placeholders = placeholders;
  }

  /** The merged tree without `extends`; undefined when one of the files could not be read or parsed. */
  async load(file: string, from?: Place, chain: readonly Step[] = []): Promise<LocatedMap | undefined> {
    const step = await this.#read(file, from);
    if (!step) return undefined;
    const circle = chain.findIndex((earlier) => earlier.identity === step.identity);
    if (circle !== -1) {
      const names = [...chain.slice(circle), step].map((link) => link.source.shown);
      return this.#fail(step, from, `the files extend each other in a circle: ${names.join(' → ')}`);
    }
    if (this.#trees.has(step.identity)) return this.#trees.get(step.identity);
    if (this.#trees.size >= mostFiles) {
      return this.#fail(step, from, `more than ${mostFiles} files are extended`);
    }
    this.#trees.set(step.identity, undefined);
    const own = parseText(step.source, this.#findings);
    const tree = own && (await this.#withBases(own, [...chain, step]));
    this.#trees.set(step.identity, tree);
    return tree;
  }

  async #withBases(own: LocatedMap, chain: readonly Step[]): Promise<LocatedMap | undefined> {
    const written = own.entries.get('extends')?.value;
    const bases = written === undefined ? [] : await this.#bases(written);
    const trees: (LocatedMap | undefined)[] = [];
    for (const base of bases) {
      trees.push(await this.load(path.resolve(base.place.file.folder, base.file), base.place, chain));
    }
    if (trees.includes(undefined)) return undefined;
    const layers = [...(trees as LocatedMap[]), without(own, (key) => key === 'extends')];
    return layers.reduce(mergeMaps);
  }

  async #bases(written: Located): Promise<{ file: string; place: Place }[]> {
    const items = written.kind === 'list' ? written.items : [written];
    const bases: { file: string; place: Place }[] = [];
    for (const item of items) {
      if (item.kind !== 'scalar' || typeof item.value !== 'string' || item.value === '') {
        const message = 'expected the path of a file, or a list of paths';
        this.#findings.add({ at: item.place, path: ['extends'], message, hint: 'extends: ./base.yaml' });
        continue;
      }
      const filled = (await this.#placeholders.fill(item, ['extends'])) as LocatedScalar;
      if (!filled.filled?.broken) bases.push({ file: String(filled.value), place: item.place });
    }
    return bases;
  }

  async #read(file: string, from: Place | undefined): Promise<Step | undefined> {
    try {
      const source = new SourceFile(file, await readText(file, largestFile));
      return { identity: await realpath(file), source };
    } catch (error) {
      if (!(error instanceof UnreadableText)) throw error;
      const at = from ?? { file: new SourceFile(file, ''), start: 0, end: 0 };
      // What a variable was filled with stays unsaid.
      const written = from ? from.file.text.slice(from.start, from.end) : at.file.shown;
      const message = `${quote(written.replaceAll(/^["']|["']$/g, ''), 200)} cannot be read: ${error.message}`;
      this.#findings.add({ at, path: from ? ['extends'] : [], message, cause: error });
      return undefined;
    }
  }

  #fail(step: Step, from: Place | undefined, message: string): undefined {
    this.#findings.add({
      at: from ?? { file: step.source, start: 0, end: 0 },
      path: ['extends'],
      message,
    });
    return undefined;
  }
}

/** `over` wins; maps are merged key by key, everything else is replaced. Plugins differ: the options of one are of no use to another. */
function mergeMaps(base: LocatedMap, over: LocatedMap): LocatedMap {
  if (useOf(base) !== undefined && useOf(over) !== undefined && useOf(base) !== useOf(over)) return over;
  const entries = new Map(base.entries);
  for (const [key, entry] of over.entries) {
    const inherited = entries.get(key)?.value;
    const both = inherited?.kind === 'map' && entry.value.kind === 'map';
    entries.set(key, both ? { key: entry.key, value: mergeMaps(inherited, entry.value) } : entry);
  }
  return { ...over, entries };
}

function useOf(map: LocatedMap): unknown {
  const use = map.entries.get('use')?.value;
  return use?.kind === 'scalar' ? use.value : undefined;
}
