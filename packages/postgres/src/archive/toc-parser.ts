import { readsVersion, versionsRead } from './archive-version.ts';
import { ByteCursor, NeedBytes } from './byte-cursor.ts';
import { invalidArchive } from './invalid.ts';
import { textDecoder, type DecodeText } from './text-encoding.ts';
import type { ArchiveCompression, ArchiveHeader, Section, Toc, TocEntry } from './toc.ts';

const sections: readonly Section[] = ['none', 'pre-data', 'data', 'post-data'];
const algorithms: readonly ArchiveCompression[] = ['none', 'gzip', 'lz4', 'zstd'];
const magic = 'PGDMP';

export interface TocParserOptions {
  /** Which entries are kept in memory; all when absent. The others are still checked. */
  readonly keep?: ((entry: TocEntry) => boolean) | undefined;
  /** Sees every entry with its bytes in the archive, to copy it into another archive. The bytes are a view, valid during the call only. */
  readonly onEntry?: ((entry: TocEntry, raw: Uint8Array) => void) | undefined;
  /** Sees the header and its bytes (the count of entries is not among them). */
  readonly onHeader?: ((header: ArchiveHeader, raw: Uint8Array) => void) | undefined;
}

/** Reads header and table of contents as their bytes arrive. Holds at most the entry that is being read, and those that are kept. */
export class TocParser {
  /** Set once everything was read. */
  toc: Toc | undefined;
  /** Size of integers after the table of contents, without sign. */
  intSize = 4;
  /** Dump ids of the entries that must have a data block; kept for every entry, whatever `keep` says. */
  readonly withData: Map<number, TocEntry['desc']> = new Map();

  readonly #options: TocParserOptions;
  readonly #cursor = new ByteCursor();
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #needed = 0;
  #header: ArchiveHeader | undefined;
  #databaseName: Uint8Array | undefined;
  #minor = 0;
  #offsetSize = 8;
  #count = -1;
  #seen = 0;
  #encoding = 'SQL_ASCII';
  #decode: DecodeText = textDecoder('SQL_ASCII');
  readonly #entries: TocEntry[] = [];
  readonly #ids = new Set<number>();
  readonly #known = new Map<string, string>();

  constructor(options: TocParserOptions = {}) {
    this.#options = options;
  }

  /** Takes the next bytes. Returns those that follow the table of contents once it is whole, undefined before. */
  push(chunk: Uint8Array): Buffer | undefined {
    this.#pending.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    this.#pendingBytes += chunk.byteLength;
    if (this.#pendingBytes < this.#needed) return undefined;
    const cursor = this.#cursor;
    cursor.bytes =
      this.#pending.length === 1 ? this.#pending[0]! : Buffer.concat(this.#pending, this.#pendingBytes);
    cursor.at = 0;
    try {
      for (;;) {
        cursor.start = cursor.at;
        if (this.#step()) break;
      }
    } catch (error) {
      if (!(error instanceof NeedBytes)) throw error;
      this.#needed = error.total;
      const rest = cursor.bytes.subarray(cursor.start);
      this.#pending = [rest];
      this.#pendingBytes = rest.length;
      return undefined;
    }
    return cursor.bytes.subarray(cursor.at);
  }

  /** What the bytes end within, for the message about a cut archive. */
  get place(): string {
    if (!this.#header) return 'the header';
    return `the table of contents (entry ${this.#seen + 1} of ${Math.max(this.#count, 0)})`;
  }

  #step(): boolean {
    if (!this.#header) {
      this.#readHeader();
      return false;
    }
    if (this.#count < 0) {
      const count = this.#cursor.int();
      if (count <= 0) throw invalidArchive(`its table of contents has ${count} entries`);
      this.#count = count;
      return false;
    }
    if (this.#seen < this.#count) {
      this.#readEntry();
      return false;
    }
    this.#finish();
    return true;
  }

  #readHeader(): void {
    const cursor = this.#cursor;
    cursor.need(magic.length);
    const found = cursor.bytes.toString('latin1', cursor.at, cursor.at + magic.length);
    if (found !== magic)
      throw invalidArchive("it does not begin with PGDMP, so it is no archive in pg_dump's custom format");
    cursor.skip(magic.length);
    const major = cursor.byte();
    const minor = cursor.byte();
    cursor.skip(1);
    if (!readsVersion(major, minor))
      throw invalidArchive(`its format version is ${major}.${minor}; pgsilo reads ${versionsRead}`);
    const intSize = cursor.byte();
    const offsetSize = cursor.byte();
    if (intSize < 4 || intSize > 8 || offsetSize < 4 || offsetSize > 8) {
      throw invalidArchive(`integers of ${intSize} and offsets of ${offsetSize} bytes`);
    }
    const format = cursor.byte();
    if (format !== 1) throw invalidArchive(`its format byte is ${format}, not 1 (custom)`);
    cursor.intSize = intSize;
    let compression: ArchiveCompression | undefined;
    if (minor >= 15) compression = algorithms[cursor.byte()];
    else compression = cursor.int() === 0 ? 'none' : 'gzip';
    if (!compression) throw invalidArchive('it is compressed by an unknown algorithm');
    const [second, minute, hour, day, month, year] = [
      cursor.int(), cursor.int(), cursor.int(), cursor.int(), cursor.int(), cursor.int(),
    ]; // prettier-ignore
    cursor.int();
    const databaseName = Uint8Array.from(cursor.text() ?? []);
    const serverVersion = this.#latin(cursor.text());
    const dumpVersion = this.#latin(cursor.text());
    const two = (value: number | undefined): string => String(value).padStart(2, '0');
    this.#minor = minor;
    this.intSize = intSize;
    this.#offsetSize = offsetSize;
    this.#databaseName = databaseName;
    this.#header = {
      version: `1.${minor}`,
      compression,
      createdAt: `${year! + 1900}-${two(month! + 1)}-${two(day)} ${two(hour)}:${two(minute)}:${two(second)}`,
      databaseName: this.#decode(databaseName),
      serverVersion,
      dumpVersion,
    };
    this.#options.onHeader?.(this.#header, cursor.bytes.subarray(cursor.start, cursor.at));
  }

  #readEntry(): void {
    const cursor = this.#cursor;
    const dumpId = cursor.int();
    const hasData = cursor.int() !== 0;
    const catalogTableOid = this.#oid(cursor.text());
    const catalogOid = this.#oid(cursor.text());
    const tag = this.#decode(cursor.text() ?? none);
    const desc = this.#intern(this.#latin(cursor.text()));
    const section = sections[cursor.int() - 1];
    const definition = cursor.text() ?? none;
    // The encoding is the first entry's definition, and decides how that entry's own successors are read.
    const isEncoding = desc === 'ENCODING';
    const definitionText = isEncoding ? this.#latin(definition) : this.#decode(definition);
    const dropStatement = this.#decode(cursor.text() ?? none);
    const copyStatement = this.#decode(cursor.text() ?? none);
    const namespace = cursor.text();
    const namespaceText =
      namespace === undefined || namespace.length === 0 ? undefined : this.#intern(this.#decode(namespace));
    const tablespace = cursor.text();
    const tablespaceText = tablespace === undefined ? undefined : this.#intern(this.#decode(tablespace));
    const accessMethod = this.#minor >= 14 ? cursor.text() : undefined;
    const accessMethodText =
      accessMethod === undefined ? undefined : this.#intern(this.#decode(accessMethod));
    const relkind = this.#minor >= 16 ? cursor.int() : 0;
    const owner = this.#intern(this.#decode(cursor.text() ?? none));
    cursor.text(); // "true" in archives of tables WITH OIDS, which no supported server writes
    const dependencies: number[] = [];
    for (let text = cursor.text(); text !== undefined; text = cursor.text())
      dependencies.push(this.#oid(text));
    cursor.skip(1 + this.#offsetSize);

    if (dumpId <= 0) throw invalidArchive(`entry ${this.#seen + 1} has the number ${dumpId}`);
    if (this.#ids.has(dumpId)) throw invalidArchive(`two entries have the number ${dumpId}`);
    if (!section) throw invalidArchive(`entry ${dumpId} is of an unknown section`);
    const entry: TocEntry = {
      dumpId, catalogTableOid, catalogOid, tag, desc, section, definition: definitionText, dropStatement, copyStatement,
      namespace: namespaceText, tablespace: tablespaceText, tableAccessMethod: accessMethodText,
      relkind: relkind > 0 ? String.fromCharCode(relkind) : undefined, owner, dependencies, hasData,
    }; // prettier-ignore
    this.#ids.add(dumpId);
    this.#seen += 1;
    if (hasData) this.withData.set(dumpId, desc);
    if (isEncoding) this.#useEncoding(definitionText);
    this.#options.onEntry?.(entry, cursor.bytes.subarray(cursor.start, cursor.at));
    if (!this.#options.keep || this.#options.keep(entry)) this.#entries.push(entry);
  }

  #useEncoding(definition: string): void {
    const match = /^SET client_encoding = '([A-Za-z0-9_]+)';\s*$/.exec(definition);
    if (!match) throw invalidArchive('its ENCODING entry is not understood');
    this.#encoding = match[1]!;
    this.#decode = textDecoder(this.#encoding);
  }

  #finish(): void {
    const header = this.#header!;
    this.toc = {
      header: { ...header, databaseName: this.#decode(this.#databaseName ?? none) },
      encoding: this.#encoding,
      entryCount: this.#count,
      entries: this.#entries,
    };
    this.#known.clear();
  }

  #latin(bytes: Uint8Array | undefined): string {
    return bytes === undefined ? '' : Buffer.from(bytes).toString('latin1');
  }

  #oid(bytes: Uint8Array | undefined): number {
    const text = this.#latin(bytes);
    if (!/^\d{1,10}$/.test(text))
      throw invalidArchive(`"${text.slice(0, 20)}" where a number should be in entry ${this.#seen + 1}`);
    return Number(text);
  }

  /** One copy of a name that thousands of entries share. */
  #intern(text: string): string {
    const known = this.#known.get(text);
    if (known !== undefined) return known;
    if (this.#known.size < 100_000) this.#known.set(text, text);
    return text;
  }
}

const none = new Uint8Array(0);
