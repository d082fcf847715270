/**
 * The table of contents of an archive in pg_dump's custom format, as data.
 * Names are raw (never quoted), in Unicode whatever the archive's encoding.
 */
export interface TocEntry {
  /** Number within the archive; what `pg_restore -L` lists name. Unique and positive. */
  readonly dumpId: number;
  /** OID of the system catalog that described the object, and of its row there; 0 where there is none. */
  readonly catalogTableOid: number;
  readonly catalogOid: number;
  /** Name of the object, in a form that depends on `desc`: `orders`, `f(integer)`, `orders orders_pkey`. */
  readonly tag: string;
  /** Kind of entry: `TABLE`, `TABLE DATA`, `SEQUENCE SET`, `ACL`, … */
  readonly desc: string;
  readonly section: Section;
  readonly definition: string;
  readonly dropStatement: string;
  /** `COPY public.orders (id, total) FROM stdin;` where there are rows in COPY's text form; else empty. */
  readonly copyStatement: string;
  /** Schema; undefined for what lives in none (a SCHEMA entry included). */
  readonly namespace: string | undefined;
  /** Undefined: has none. Empty: the database's default. */
  readonly tablespace: string | undefined;
  readonly tableAccessMethod: string | undefined;
  /** `pg_class.relkind` as a character (archives of 1.16 on, for relations). */
  readonly relkind: string | undefined;
  readonly owner: string;
  readonly dependencies: readonly number[];
  /** Whether the archive holds a data block for this entry. */
  readonly hasData: boolean;
}

export type Section = 'none' | 'pre-data' | 'data' | 'post-data';

export type ArchiveCompression = 'none' | 'gzip' | 'lz4' | 'zstd';

export interface ArchiveHeader {
  /** Of the format, not of PostgreSQL: `1.14`. */
  readonly version: string;
  readonly compression: ArchiveCompression;
  /** `2026-11-21 02:00:00` in the local time of the machine where pg_dump ran; the archive does not say which zone that was. */
  readonly createdAt: string;
  readonly databaseName: string;
  /** `15.18 (Debian 15.18-0+deb12u1)`, as the server called itself. */
  readonly serverVersion: string;
  /** The same of pg_dump. */
  readonly dumpVersion: string;
}

export interface Toc {
  readonly header: ArchiveHeader;
  /** PostgreSQL's name of the encoding that names, definitions and rows have in the archive: `UTF8`. */
  readonly encoding: string;
  /** How many entries the archive has. */
  readonly entryCount: number;
  /** All of them in the archive's order, or those that the reader was told to keep. */
  readonly entries: readonly TocEntry[];
}

/** Major version of PostgreSQL in a text like `15.18 (Debian 15.18-0+deb12u1)`; undefined when there is none. */
export function majorVersion(version: string): number | undefined {
  const match = /^(\d+)(?:\.|devel|beta|rc|\s|$)/.exec(version);
  return match ? Number(match[1]) : undefined;
}
