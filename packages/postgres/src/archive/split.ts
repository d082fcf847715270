import { PgsiloError, type Body } from '@pgsilo/plugin';
import { showName } from '../quoting.ts';
import { invalidArchive } from './invalid.ts';
import { SplitBlocks } from './split-blocks.ts';
import { SplitToc } from './split-toc.ts';
import { integer, preamble } from './subset.ts';
import { TocParser } from './toc-parser.ts';
import type { TocEntry } from './toc.ts';

export interface SplitOptions {
  /** The archives to make; one without an entry is made too. `groupOf` may name more. */
  readonly groups: readonly string[];
  /** The group of an entry, asked in the archive's order; undefined: in none of them. Entries that say how others are read are in all. */
  readonly groupOf: (entry: TocEntry) => string | undefined;
  /** A scratch folder, for a table of contents above 64 MB. */
  readonly scratch: () => Promise<string>;
  /** Bytes of the table of contents that are held in memory; 64 MB unless told. */
  readonly tocMemory?: number;
}

export interface ArchivePart {
  readonly group: string;
  /** A whole archive in pg_dump's custom format, to be read to its end before the next part is asked for. */
  readonly body: Body;
}

/** Flags in front of an entry's place in the file. */
const placeNotSet = 1;
const placeSet = 2;

/** What is known of a group. */
interface Group {
  readonly name: string;
  readonly number: number;
  /** Entries with data whose block has not come yet. */
  missing: number;
  hasData: boolean;
}

/**
 * Splits an archive, as its bytes arrive, into one archive for each group: header, the group's entries as they are, its blocks of data. Archives come one after
 * another, first those without data, then in the order of their data; **the last one ends when `body` has ended**, so that a producer's failure shows there.
 * Entries refer to entries of other groups by numbers that are then not in their archive; pg_restore takes such references for settled.
 * Throws `source.archive-invalid` as every reader does, and where the data of a group does not lie together.
 */
export async function* splitArchive(body: Body, options: SplitOptions): AsyncGenerator<ArchivePart> {
  const chunks = body[Symbol.asyncIterator]();
  const toc = new SplitToc(options.scratch, options.tocMemory);
  try {
    const split = await readToc(chunks, toc, options);
    yield* parts(split, toc);
  } finally {
    await chunks.return?.();
    await toc.close();
  }
}

interface SplitState {
  readonly head: readonly Uint8Array[];
  readonly intSize: number;
  readonly groups: readonly Group[];
  readonly blocks: SplitBlocks;
  /** The number, in `toc`, of the entries that all archives have. */
  readonly common: number;
}

async function readToc(
  chunks: AsyncIterator<Uint8Array>,
  toc: SplitToc,
  options: SplitOptions,
): Promise<SplitState> {
  const common = 0;
  const groups = new Map<string, Group>();
  const groupNamed = (name: string): Group => {
    const known = groups.get(name);
    if (known) return known;
    const made: Group = { name, number: groups.size + 1, missing: 0, hasData: false };
    groups.set(name, made);
    return made;
  };
  for (const name of options.groups) groupNamed(name);

  const head: Uint8Array[] = [];
  const groupOfData = new Map<number, Group | undefined>();
  let offsetBytes = 0;
  const parser = new TocParser({
    keep: () => false,
    onHeader: (_, raw) => {
      head.push(Uint8Array.from(raw));
      // Behind the magic word, three bytes of version and the size of integers.
      offsetBytes = raw[9]!;
    },
    onEntry: (entry, raw) => {
      const group = preamble.has(entry.desc) ? undefined : options.groupOf(entry);
      const target = group === undefined ? undefined : groupNamed(group);
      if (entry.hasData) {
        groupOfData.set(entry.dumpId, target);
        if (target) target.missing += 1;
      }
      if (target || preamble.has(entry.desc))
        forgetPlace(toc.add(target?.number ?? common, raw), offsetBytes);
    },
  });
  let rest: Buffer | undefined;
  while (!rest) {
    const { done, value } = await chunks.next();
    if (done) throw invalidArchive(`it is cut: it ends within ${parser.place}`);
    rest = parser.push(value);
    await toc.settle();
  }
  for (const group of groups.values()) group.hasData = group.missing > 0;
  const dropped = groups.size + 1;
  const groupNumber = (dumpId: number): number => groupOfData.get(dumpId)?.number ?? dropped;
  const blocks = new SplitBlocks(rest, chunks, parser.intSize, parser.withData, groupNumber);
  return { head, intSize: parser.intSize, groups: [...groups.values()], blocks, common };
}

async function* parts(split: SplitState, toc: SplitToc): AsyncGenerator<ArchivePart> {
  const { groups, blocks } = split;
  const waiting = groups.filter((group) => !group.hasData);
  let unfinished = groups.length;
  const partOf = (group: Group): { part: ArchivePart; requireRead: () => void } => {
    unfinished -= 1;
    const isLast = unfinished === 0;
    let whole = false;
    async function* archive(): AsyncGenerator<Uint8Array> {
      yield* split.head;
      yield integer(toc.entriesOf(split.common) + toc.entriesOf(group.number), split.intSize);
      yield* toc.read(split.common);
      yield* toc.read(group.number);
      yield* data(group, isLast);
      whole = true;
    }
    const requireRead = (): void => {
      if (!whole)
        throw new PgsiloError('internal', `the archive of ${showName(group.name)} was not read to its end`);
    };
    return { part: { group: group.name, body: archive() }, requireRead };
  };
  async function* data(group: Group, isLast: boolean): AsyncGenerator<Uint8Array> {
    for (;;) {
      // Without data it ends here, unless there is nobody left to wait for the end of the whole.
      if (!group.hasData && !isLast) return;
      const piece = await blocks.peek();
      if (!piece) return;
      if (piece.group === group.number) {
        blocks.take();
        group.missing -= piece.blocks;
        yield piece.bytes;
      } else if (isOfNobody(piece.group)) blocks.take();
      else if (group.missing > 0) throw scattered(group, piece.group);
      else return;
    }
  }
  const isOfNobody = (number: number): boolean => number > groups.length;
  const scattered = (group: Group, number: number): PgsiloError =>
    invalidArchive(
      `the data of ${showName(group.name)} does not lie together: that of ${showName(groups[number - 1]!.name)} comes between`,
    );

  for (const group of waiting) {
    const { part, requireRead } = partOf(group);
    yield part;
    requireRead();
  }
  while (unfinished > 0) {
    const piece = await blocks.peek();
    if (!piece) throw invalidArchive('it has ended before the data of all groups came');
    if (isOfNobody(piece.group)) {
      blocks.take();
      continue;
    }
    const { part, requireRead } = partOf(groups[piece.group - 1]!);
    yield part;
    requireRead();
  }
}

/** A place in the whole archive means nothing in another one. Without one pg_restore looks for the data itself. */
function forgetPlace(entry: Buffer, offsetBytes: number): void {
  const flag = entry.length - offsetBytes - 1;
  if (entry[flag] !== placeSet) return;
  entry[flag] = placeNotSet;
  entry.fill(0, flag + 1);
}
