import { PgsiloError } from '@pgsilo/plugin';
import { showName } from '../quoting.ts';
import type { TocEntry } from './toc.ts';

/**
 * How an entry's schema is found. `namespace`: it carries it. `attached`: it belongs where the object does that it is about, the first of its dependencies.
 * `dependencies`: it has a name in no schema, but may be made of one schema's objects alone. `database`: whatever it is made of, it acts on the whole database.
 */
type Rule = 'schema' | 'namespace' | 'attached' | 'dependencies' | 'database';

/** All kinds of entries that pg_dump 14 to 18 writes. The table is closed: of a kind that is not in it nobody knows to whom it may be given. */
const rules: Readonly<Record<string, Rule>> = {
  SCHEMA: 'schema',
  ...each('attached', ['COMMENT', 'ACL', 'SECURITY LABEL']),
  ...each('dependencies', ['CAST', 'EXTENSION', 'TRANSFORM']),
  // A default ACL without a schema holds in all of them.
  'DEFAULT ACL': 'attached',
  ...each('namespace', [
    'AGGREGATE', 'CHECK CONSTRAINT', 'COLLATION', 'CONSTRAINT', 'CONVERSION', 'DEFAULT', 'DOMAIN', 'FK CONSTRAINT', 'FOREIGN TABLE', 'FUNCTION', 'INDEX',
    'INDEX ATTACH', 'MATERIALIZED VIEW', 'MATERIALIZED VIEW DATA', 'OPERATOR', 'OPERATOR CLASS', 'OPERATOR FAMILY', 'POLICY', 'PROCEDURE', 'ROW SECURITY',
    'RULE', 'SEQUENCE', 'SEQUENCE OWNED BY', 'SEQUENCE SET', 'SHELL TYPE', 'STATISTICS', 'STATISTICS DATA', 'TABLE', 'TABLE ATTACH', 'TABLE DATA',
    'TEXT SEARCH CONFIGURATION', 'TEXT SEARCH DICTIONARY', 'TEXT SEARCH PARSER', 'TEXT SEARCH TEMPLATE', 'TRIGGER', 'TYPE', 'VIEW',
  ]),
  ...each('database', [
    'ACCESS METHOD', 'BLOB', 'BLOB COMMENTS', 'BLOB METADATA', 'BLOBS', 'DATABASE', 'DATABASE PROPERTIES', 'EVENT TRIGGER', 'FOREIGN DATA WRAPPER',
    'PROCEDURAL LANGUAGE', 'PUBLICATION', 'PUBLICATION TABLE', 'PUBLICATION TABLES IN SCHEMA', 'SERVER', 'SUBSCRIPTION', 'SUBSCRIPTION TABLE', 'USER MAPPING',
  ]),
}; // prettier-ignore

/** OID of the catalog pg_namespace, the same on every server. */
const namespaceCatalog = 2615;

/**
 * Says to which schema an entry of an archive belongs, asked in the archive's order: an object comes before what is said about it.
 * Decided by what pg_dump wrote into the entry for pg_restore (schema, catalog ids, dependencies), never by its tag, which is made for people.
 */
export class EntryOwners {
  readonly #schemas: ReadonlyMap<number, string>;
  readonly #madeOf: boolean;
  /** Number of the entry's schema in `#names`, by dump id; 0: belongs to none. Dump ids are dense. */
  #owners = new Uint32Array(4096);
  readonly #names: (string | undefined)[] = [undefined];
  readonly #numbers = new Map<string, number>();

  /**
   * @param schemas the names of all schemas of the database, by OID, at the archive's snapshot
   * @param madeOf whether what is made of one schema's objects alone (a cast, a transform, an extension) goes with that schema; else it is the database's
   */
  constructor(schemas: ReadonlyMap<number, string>, madeOf = true) {
    this.#schemas = schemas;
    this.#madeOf = madeOf;
  }

  /** The schema that the entry belongs to; undefined: the database. Throws `source.archive-invalid` for what is not understood. */
  ownerOf(entry: TocEntry): string | undefined {
    const owner = this.#decide(entry);
    this.#remember(entry.dumpId, owner);
    return owner;
  }

  #decide(entry: TocEntry): string | undefined {
    const rule = Object.hasOwn(rules, entry.desc) ? rules[entry.desc] : undefined;
    switch (rule) {
      case 'schema':
        return this.#schemaOf(entry);
      case 'namespace':
        if (entry.namespace === undefined) throw notUnderstood(entry, 'it carries no schema');
        return entry.namespace;
      case 'attached':
        return this.#known(entry.dependencies[0]) ?? entry.namespace;
      case 'dependencies':
        return this.#madeOf ? this.#onlyOneOf(entry.dependencies) : undefined;
      case 'database':
        return undefined;
      default:
        throw notUnderstood(entry, 'pgsilo does not know entries of this type');
    }
  }

  #schemaOf(entry: TocEntry): string {
    const name = entry.catalogTableOid === namespaceCatalog ? this.#schemas.get(entry.catalogOid) : undefined;
    if (name === undefined)
      throw notUnderstood(entry, `no schema has the OID ${entry.catalogOid} in the snapshot`);
    return name;
  }

  #known(dumpId: number | undefined): string | undefined {
    return dumpId === undefined ? undefined : this.#names[this.#owners[dumpId] ?? 0];
  }

  #onlyOneOf(dumpIds: readonly number[]): string | undefined {
    const owners = new Set(dumpIds.map((dumpId) => this.#known(dumpId)));
    owners.delete(undefined);
    return owners.size === 1 ? [...owners][0] : undefined;
  }

  #remember(dumpId: number, owner: string | undefined): void {
    if (owner === undefined) return;
    let number = this.#numbers.get(owner);
    if (number === undefined) {
      number = this.#names.push(owner) - 1;
      this.#numbers.set(owner, number);
    }
    if (dumpId >= this.#owners.length) {
      const larger = new Uint32Array(Math.max(dumpId + 1, this.#owners.length * 2));
      larger.set(this.#owners);
      this.#owners = larger;
    }
    this.#owners[dumpId] = number;
  }
}

function each(rule: Rule, kinds: readonly string[]): Record<string, Rule> {
  return Object.fromEntries(kinds.map((kind) => [kind, rule]));
}

function notUnderstood(entry: TocEntry, why: string): PgsiloError {
  return new PgsiloError(
    'source.archive-invalid',
    `entry ${entry.dumpId} of the archive (${entry.desc} ${showName(entry.tag)}) belongs to nobody: ${why}`,
    { hint: 'Look for a newer pgsilo, or back this database up whole, by use: database-per-tenant.' },
  );
}
