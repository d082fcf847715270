import { PgsiloError, type Unit } from '@pgsilo/plugin';
import { showName, type TocEntry } from '@pgsilo/postgres';
import type { Schema } from './schemas.ts';
import { databaseUnitName, schemaOf } from './units.ts';

/** What an archive that comes out of the split is, and what it may hold. */
export interface ArchivePlace {
  readonly unit: Unit;
  /** Name of the artifact. */
  readonly name: string;
  /** Sees each entry. Throws `source.archive-invalid` for one that is none of the unit's. */
  readonly check: (entry: TocEntry) => void;
  /** Called when all entries were seen. Throws `source.incomplete` when the schema itself was not among them. */
  readonly end: () => void;
}

/** Kinds of entries that name an object of a tenant and are the database's all the same. */
const publishing = new Set(['PUBLICATION TABLE', 'PUBLICATION TABLES IN SCHEMA', 'SUBSCRIPTION TABLE']);
/** Groups are called by what they hold. A schema may be called anything, `@database` too, so that these never meet. */
const schemaPrefix = 'schema ';
/** Followed by the schema's OID. */
const rowsPrefix = 'rows of ';

/**
 * Which archive each entry goes into. A unit has one; the database's unit has one with all definitions, and one with the rows of each schema that is nobody's unit:
 * these come between those of the tenants, each schema at its turn, and an archive that has ended cannot go on.
 */
export class Groups {
  /** Those that must come out of the split. */
  readonly names: readonly string[];
  readonly databaseUnit: Unit | undefined;
  readonly #units = new Map<string, Unit>();
  readonly #schemas: ReadonlyMap<string, Schema>;
  readonly #elsewhere: ReadonlySet<string>;
  readonly #alone: boolean;

  /**
   * Throws `source.unit-missing` for a unit whose schema is not in the snapshot.
   * @param elsewhere schemas that are none of the database's unit: left out of everything, or units that this job does not read
   * @param alone whether pg_dump was told to dump the units' schemas and nothing else
   */
  constructor(
    units: readonly Unit[],
    schemas: ReadonlyMap<string, Schema>,
    elsewhere: ReadonlySet<string>,
    alone = false,
  ) {
    this.#schemas = schemas;
    this.#elsewhere = elsewhere;
    this.#alone = alone;
    for (const unit of units) {
      const schema = schemaOf(unit);
      if (schema === undefined) this.databaseUnit = unit;
      else if (schemas.has(schema)) this.#units.set(schema, unit);
      else
        throw new PgsiloError(
          'source.unit-missing',
          `schema ${showName(schema)} of unit ${showName(unit.name)} was dropped after the plan was made`,
          { hint: 'Run the backup again.' },
        );
    }
    this.names = [
      ...(this.databaseUnit ? [databaseUnitName] : []),
      ...[...this.#units.keys()].map((schema) => schemaPrefix + schema),
    ];
  }

  /** The group of an entry that belongs to `schema`; undefined: in no archive. Throws `source.archive-invalid` for what pg_dump was not asked for. */
  groupOf(schema: string | undefined, entry: TocEntry): string | undefined {
    if (schema !== undefined && this.#units.has(schema)) return schemaPrefix + schema;
    // The database itself has an entry in every archive.
    if (schema !== undefined && this.#alone)
      throw misplaced(entry, 'of other schemas, which alone were asked for');
    if (schema !== undefined && this.#elsewhere.has(schema)) return undefined;
    if (!this.databaseUnit) return undefined;
    return entry.desc === 'TABLE DATA' ? rowsPrefix + this.#schemas.get(schema ?? '')?.oid : databaseUnitName;
  }

  placeOf(group: string): ArchivePlace {
    if (group.startsWith(schemaPrefix)) return this.#placeOfTenant(group.slice(schemaPrefix.length));
    return {
      unit: this.databaseUnit!,
      name: group === databaseUnitName ? 'database.dump' : `rows-${group.slice(rowsPrefix.length)}.dump`,
      check: (entry) => this.#requireNobodys(entry),
      end: () => undefined,
    };
  }

  #placeOfTenant(schema: string): ArchivePlace {
    // pg_dump says nothing of a schema public that is as initdb made it.
    let found = schema === 'public';
    return {
      unit: this.#units.get(schema)!,
      name: 'schema.dump',
      check: (entry) => {
        this.#requireOwn(schema, entry);
        found ||= entry.desc === 'SCHEMA';
      },
      end: () => {
        if (!found) throw new PgsiloError('source.incomplete', `pg_dump left out schema ${showName(schema)}`);
      },
    };
  }

  #requireOwn(schema: string, entry: TocEntry): void {
    const foreign =
      entry.desc === 'SCHEMA'
        ? entry.catalogOid !== this.#schemas.get(schema)?.oid
        : entry.namespace !== undefined && entry.namespace !== schema;
    if (foreign) throw misplaced(entry, `of schema ${showName(schema)}`);
  }

  #requireNobodys(entry: TocEntry): void {
    if (entry.namespace === undefined || publishing.has(entry.desc)) return;
    if (this.#units.has(entry.namespace)) throw misplaced(entry, 'of what belongs to no tenant');
  }
}

function misplaced(entry: TocEntry, archive: string): PgsiloError {
  return new PgsiloError(
    'source.archive-invalid',
    `${entry.desc} ${showName(entry.tag)} of schema ${showName(entry.namespace ?? entry.tag)} is in the archive ${archive}`,
    { hint: 'This is a defect of pgsilo: nothing was kept. Please report it.' },
  );
}
