import { createReadStream } from 'node:fs';
import type { Body } from '@pgsilo/plugin';
import {
  hasWords,
  nameOf,
  quoteIdentifier,
  showName,
  tokens,
  type Fingerprint,
  type SequenceFingerprint,
  type SettingStatement,
  type TableFingerprint,
} from '@pgsilo/postgres';
import type { DumpedDatabase } from './contents.ts';
import { DumpReader, type Piece } from './dump-reader.ts';
import { invalidDump } from './errors.ts';
import { readStatement, type DatabaseStatement } from './statement.ts';

export interface BodyOptions {
  /** Whether ownership and grants are restored. */
  readonly owner: boolean;
  /** Tablespaces of the server. */
  readonly tablespaces: ReadonlySet<string>;
}

const chunkBytes = 256 * 1024;

/**
 * The part of a dump that is about one database, as statements to be run in any other. Left out are commands of psql and whatever names the database:
 * the latter is kept for {@link DatabaseBody.settings}. What goes by is counted, so that the copy can be compared with it.
 */
export class DatabaseBody {
  readonly #database: DumpedDatabase;
  readonly #options: BodyOptions;
  readonly #reader: DumpReader;
  readonly #held: { readonly statement: DatabaseStatement; readonly as: string | undefined }[] = [];
  readonly #tables: { schema: string; name: string; rows: number }[] = [];
  readonly #sequences: SequenceFingerprint[] = [];
  readonly #missing = new Set<string>();
  #largeObjects = 0;
  /** The role that SET SESSION AUTHORIZATION named last. */
  #role: string | undefined;

  constructor(database: DumpedDatabase, options: BodyOptions) {
    this.#database = database;
    this.#options = options;
    this.#reader = new DumpReader(database.state);
  }

  /** @param file the whole dump. */
  async *read(file: string): Body & AsyncGenerator<Uint8Array> {
    const { start, end } = this.#database;
    for await (const chunk of createReadStream(file, { start, end: end - 1, highWaterMark: chunkBytes })) {
      const passed: Buffer[] = [];
      for (const piece of this.#reader.push(chunk as Buffer)) passed.push(this.#pass(piece));
      yield Buffer.concat(passed);
    }
    this.#reader.end();
  }

  /** What the database held, by what has gone by. */
  get fingerprint(): Fingerprint {
    const tables: readonly TableFingerprint[] = this.#tables;
    return {
      format: 1,
      kind: 'counts',
      tables,
      sequences: this.#sequences,
      largeObjects: this.#largeObjects,
    };
  }

  /** Tablespaces that the server lacks, and whose tables went into the database's own. */
  get missingTablespaces(): readonly string[] {
    return [...this.#missing];
  }

  /** What the dump says about the database by its name, said about another. */
  settings(database: string): readonly SettingStatement[] {
    const identifier = quoteIdentifier(database);
    const statements: SettingStatement[] = [
      { sql: `COMMENT ON DATABASE ${identifier} IS NULL`, about: 'comment' },
      // As a new database has it; the dump says what differs from that.
      { sql: `GRANT CONNECT, TEMPORARY ON DATABASE ${identifier} TO PUBLIC`, about: 'rights of PUBLIC' },
    ];
    if (this.#database.state.backslashes)
      statements.push({ sql: 'SET LOCAL standard_conforming_strings = off', about: 'strings' });
    for (const { statement, as } of this.#held) {
      if (statement.names && !this.#options.owner) continue;
      const { about } = statement;
      if (as !== undefined) statements.push({ sql: `SET LOCAL ROLE ${quoteIdentifier(as)}`, about });
      statements.push({ sql: statement.sql(identifier), about });
      if (as !== undefined) statements.push({ sql: 'RESET ROLE', about });
    }
    return statements;
  }

  #pass(piece: Piece): Buffer {
    if (piece.type === 'command') return nothing;
    if (piece.type === 'rows') this.#tables.at(-1)!.rows += piece.rows;
    return piece.type === 'statement' ? this.#statement(piece.bytes) : piece.bytes;
  }

  #statement(bytes: Buffer): Buffer {
    const statement = readStatement(bytes, this.#reader.encoding);
    const { owner, tablespaces } = this.#options;
    switch (statement.kind) {
      case 'create-database':
        return nothing;
      case 'of-database':
        if (statement.database !== this.#database.name)
          throw invalidDump(
            `the part of database ${showName(this.#database.name)} says something about ${showName(statement.database)}`,
          );
        this.#held.push({ statement, as: this.#role });
        return nothing;
      case 'rows':
        this.#tables.push({ ...tableOf(statement.text), rows: 0 });
        return bytes;
      case 'sequence':
        this.#sequences.push(sequenceOf(statement.text));
        return bytes;
      case 'large-object':
        this.#largeObjects += 1;
        return bytes;
      case 'authorization':
        this.#role = statement.role;
        return owner ? bytes : nothing;
      case 'owner':
        return owner ? bytes : nothing;
      case 'tablespace':
        if (statement.name === '' || tablespaces.has(statement.name)) return bytes;
        this.#missing.add(statement.name);
        return Buffer.from("SET default_tablespace = '';");
      default:
        return bytes;
    }
  }
}

const nothing: Buffer = Buffer.alloc(0);

function tableOf(text: string): { readonly schema: string; readonly name: string } {
  const [, schema, dot, name] = tokens(text);
  const found = { schema: nameOf(schema), name: nameOf(name) };
  if (dot?.value !== '.' || found.schema === undefined || found.name === undefined)
    throw invalidDump('a COPY does not name its schema');
  return { schema: found.schema, name: found.name };
}

/** `SELECT pg_catalog.setval('public.numbers', 41, true);` */
function sequenceOf(text: string): SequenceFingerprint {
  const all = tokens(text);
  const [schema, , name] = tokens(all[5]?.value ?? '');
  const called = hasWords(all, all.length - 3, 'TRUE');
  const value = all.slice(7, -4).map((token) => token.value);
  const found = { schema: nameOf(schema), name: nameOf(name), lastValue: value.join('') };
  if (found.schema === undefined || found.name === undefined || !/^-?\d+$/.test(found.lastValue))
    throw invalidDump('the value of a sequence is not understood');
  return { schema: found.schema, name: found.name, lastValue: found.lastValue, isCalled: called };
}
