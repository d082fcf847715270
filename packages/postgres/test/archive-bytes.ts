/** Writes archives by hand, so that each way in which one can be wrong can be made. */
export interface EntryToWrite {
  readonly dumpId: number;
  readonly desc: string;
  readonly tag?: string;
  readonly namespace?: string | undefined;
  readonly definition?: string;
  readonly copyStatement?: string;
  readonly owner?: string;
  readonly dependencies?: readonly number[];
  readonly hasData?: boolean;
  /** Where its data lies in the file, as pg_dump writes it into a file and not into a pipe. */
  readonly place?: number;
}

export interface ArchiveToWrite {
  readonly minor?: number;
  readonly compression?: number;
  readonly encoding?: string;
  readonly intSize?: number;
  readonly entries: readonly EntryToWrite[];
  readonly blocks?: readonly Buffer[];
}

export function int(value: number, size = 4): Buffer {
  const bytes = Buffer.alloc(size + 1);
  bytes[0] = value < 0 ? 1 : 0;
  let rest = Math.abs(value);
  for (let at = 1; at <= size; at += 1) {
    bytes[at] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return bytes;
}

function text(value: string | undefined, size: number, encoding: BufferEncoding): Buffer {
  if (value === undefined) return int(-1, size);
  const bytes = Buffer.from(value, encoding);
  return Buffer.concat([int(bytes.length, size), bytes]);
}

export function rows(dumpId: number, lines: readonly string[], end = '\\.\n\n\n'): Buffer {
  const pieces = [...lines.map((line) => `${line}\n`), end].map((piece) => Buffer.from(piece));
  return Buffer.concat([
    Buffer.from([1]),
    int(dumpId),
    ...pieces.filter((piece) => piece.length > 0).flatMap((piece) => [int(piece.length), piece]),
    int(0),
  ]);
}

export function largeObjects(dumpId: number, objects: readonly (readonly [number, string])[]): Buffer {
  return Buffer.concat([
    Buffer.from([3]),
    int(dumpId),
    ...objects.flatMap(([oid, content]) => [int(oid | 0), int(content.length), Buffer.from(content), int(0)]),
    int(0),
  ]);
}

export function archive(about: ArchiveToWrite): Buffer {
  const minor = about.minor ?? 14;
  const size = about.intSize ?? 4;
  const encoding: BufferEncoding = about.encoding === 'LATIN1' ? 'latin1' : 'utf8';
  const str = (value: string | undefined): Buffer => text(value, size, encoding);
  const header = [
    Buffer.from('PGDMP'), Buffer.from([1, minor, 0, size, 8, 1]),
    minor >= 15 ? Buffer.from([about.compression ?? 0]) : int(about.compression ?? 0, size),
    int(1, size), int(2, size), int(3, size), int(21, size), int(10, size), int(126, size), int(0, size),
    str('ñandú'), str('15.18'), str('15.18 (x)'),
  ]; // prettier-ignore
  const encodingEntry: EntryToWrite = {
    dumpId: 9001, desc: 'ENCODING', tag: 'ENCODING', definition: `SET client_encoding = '${about.encoding ?? 'UTF8'}';\n`,
  }; // prettier-ignore
  const all = [encodingEntry, ...about.entries];
  const toc = all.flatMap((entry) => [
    int(entry.dumpId, size), int(entry.hasData ? 1 : 0, size), str('1259'), str('16384'), str(entry.tag ?? 't'), str(entry.desc), int(3, size),
    str(entry.definition ?? ''), str(''), str(entry.copyStatement), str(entry.namespace), str(undefined),
    ...(minor >= 14 ? [str('heap')] : []), ...(minor >= 16 ? [int('r'.charCodeAt(0), size)] : []),
    str(entry.owner ?? 'app'), str('false'), ...(entry.dependencies ?? []).map((each) => str(String(each))), str(undefined),
    ...(entry.place === undefined ? [Buffer.from([entry.hasData ? 1 : 3]), Buffer.alloc(8)] : [Buffer.from([2]), int(entry.place, 8).subarray(1)]),
  ]); // prettier-ignore
  return Buffer.concat([...header, int(all.length, size), ...toc, ...(about.blocks ?? [])]);
}

export async function* chunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
