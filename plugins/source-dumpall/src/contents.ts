import {
  clusterClosingLine,
  readGlobalStatements,
  rolesOf,
  showName,
  type GlobalStatement,
} from '@pgsilo/postgres';
import { readCreation, type DatabaseCreation } from './create-database.ts';
import { DumpReader, type Piece, type ReaderState } from './dump-reader.ts';
import { invalidDump } from './errors.ts';
import { readStatement } from './statement.ts';

/** A database of a dump. */
export interface DumpedDatabase {
  readonly name: string;
  /** Undefined for `postgres` and `template1`, which every server has: pg_dumpall does not say how they were made. */
  readonly creation: DatabaseCreation | undefined;
  /** Encoding of the database, in which pg_dump writes. */
  readonly encoding: string;
  /** Where in the file it stands, in bytes; it may begin in the middle of what psql was told before. */
  readonly start: number;
  readonly end: number;
  readonly state: ReaderState;
  readonly tables: number;
  readonly rows: number;
  /** Whether there is nothing in it but settings of the session. */
  readonly empty: boolean;
}

export interface Contents {
  readonly globals: readonly GlobalStatement[];
  readonly roles: readonly string[];
  readonly databases: readonly DumpedDatabase[];
}

interface OpenDatabase {
  readonly name: string;
  readonly creation: DatabaseCreation | undefined;
  readonly start: number;
  readonly state: ReaderState;
  encoding: string;
  connected: boolean;
  complete: boolean;
  tables: number;
  rows: number;
  empty: boolean;
}

const databaseClosingLine = Buffer.from('-- PostgreSQL database dump complete\n');
/** What pg_dumpall ends with, as lines. */
const ending = [`${clusterClosingLine}\n`, '--\n', '\n'];
const closingLine = Buffer.from(ending[0]!);
/** Roles and tablespaces; ten thousand roles have 4 MB. */
const mostGlobals = 256 * 2 ** 20;

/** Reads a dump to its end and says what it holds. Throws `source.archive-invalid` when it is cut anywhere or is not what pg_dumpall writes. */
export class ContentsReader {
  readonly #reader = new DumpReader();
  readonly #globals: Buffer[] = [];
  #globalBytes = 0;
  readonly #databases: DumpedDatabase[] = [];
  readonly #names = new Set<string>();
  #open: OpenDatabase | undefined;
  #at = 0;
  /** How many of the ending's lines were read. */
  #ended = 0;

  push(chunk: Uint8Array): void {
    for (const piece of this.#reader.push(chunk)) {
      this.#take(piece);
      this.#at += piece.bytes.length;
    }
  }

  end(): Contents {
    this.#reader.end();
    if (this.#ended < ending.length)
      throw invalidDump(`it is cut: it does not end with the closing line "${clusterClosingLine}"`);
    this.#close();
    const globals = readGlobalStatements(Buffer.concat(this.#globals));
    return { globals, roles: rolesOf(globals), databases: this.#databases };
  }

  #take(piece: Piece): void {
    if (this.#ended > 0 || (piece.type === 'comment' && piece.bytes.equals(closingLine))) {
      if (piece.bytes.toString('latin1') !== ending[this.#ended])
        throw invalidDump('it goes on behind its closing line');
      this.#ended += 1;
    } else if (piece.type === 'command') {
      if (piece.command.name === 'connect') this.#connect(piece.command.database);
    } else if (piece.type === 'statement') this.#statement(piece.bytes);
    else if (this.#open) {
      if (piece.type === 'comment') this.#comment(this.#open, piece.bytes);
      else if (piece.type === 'part') this.#open.empty = false;
      else if (piece.type === 'rows') this.#open.rows += piece.rows;
    } else if (piece.type === 'part' || piece.type === 'rows')
      throw invalidDump('a role or tablespace is not understood');
  }

  #statement(bytes: Buffer): void {
    const statement =
      this.#open || createsDatabase(bytes) ? readStatement(bytes, this.#reader.encoding) : undefined;
    if (statement?.kind === 'create-database') {
      this.#begin(statement.name, readCreation(statement.tokens));
    } else if (this.#open && statement) {
      if (statement.kind === 'rows') this.#open.tables += 1;
      if (statement.kind !== 'setting') this.#open.empty = false;
    } else {
      this.#globalBytes += bytes.length;
      if (this.#globalBytes > mostGlobals) throw invalidDump('there are too many roles to be held');
      this.#globals.push(bytes, Buffer.from('\n'));
    }
  }

  /** What follows the closing line is said before the next database is made, and may be in its encoding. */
  #comment(database: OpenDatabase, bytes: Buffer): void {
    if (!bytes.equals(databaseClosingLine)) return;
    database.complete = true;
    database.encoding = this.#reader.encoding;
  }

  #connect(name: string): void {
    if (this.#open && !this.#open.connected && this.#open.name !== name)
      throw invalidDump(`it makes database ${showName(this.#open.name)} and connects to ${showName(name)}`);
    if (this.#open?.name !== name) this.#begin(name, undefined);
    this.#open!.connected = true;
  }

  #begin(name: string, creation: DatabaseCreation | undefined): void {
    if (this.#names.has(name)) throw invalidDump(`database ${showName(name)} is in it twice`);
    this.#names.add(name);
    this.#close();
    const { encoding, backslashes } = this.#reader;
    this.#open = {
      name, creation, start: this.#at, state: { encoding, backslashes },
      encoding, connected: false, complete: false, tables: 0, rows: 0, empty: creation === undefined,
    }; // prettier-ignore
  }

  #close(): void {
    if (!this.#open) return;
    const { connected, complete, ...database } = this.#open;
    if (!connected || !complete) throw invalidDump(`the part of database ${showName(database.name)} is cut`);
    this.#databases.push({ ...database, end: this.#at });
    this.#open = undefined;
  }
}

function createsDatabase(bytes: Buffer): boolean {
  return bytes.toString('latin1', 0, 16) === 'CREATE DATABASE ';
}
