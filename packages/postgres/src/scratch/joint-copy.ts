import { createReadStream } from 'node:fs';
import type { ArtifactView, Context } from '@pgsilo/plugin';
import { EntryOwners, majorVersion, readToc, type TocEntry } from '../archive/index.ts';
import { preamble } from '../archive/subset.ts';
import type { ServerSettings } from '../connection.ts';
import { openSession } from '../session.ts';
import type { SourceSetup } from '../source-setup.ts';
import { dumpSchema } from './compare-copy.ts';
import { compareWithin, describeComparison, IndexedCopy, isSchema } from './schema-compare.ts';

interface Dumped {
  readonly index: IndexedCopy;
  /** What is in each schema that is a unit. */
  readonly bySchema: ReadonlyMap<string, readonly TocEntry[]>;
  /** What belongs to no unit that is a schema. */
  readonly rest: readonly TocEntry[];
  readonly major: number;
}

/** A copy of a database that many units make up. It is dumped once, and each unit compared with its part: a dump for each of a thousand would take longer than all of the restores. */
export class JointCopy {
  readonly name: string;
  readonly #setup: SourceSetup;
  readonly #server: ServerSettings;
  /** Schemas that are units. */
  readonly #units = new Set<string>();
  #dumped: Promise<Dumped> | undefined;

  constructor(setup: SourceSetup, server: ServerSettings, name: string) {
    this.#setup = setup;
    this.#server = server;
    this.name = name;
  }

  /** Called for each unit before the first is compared. */
  add(schema: string | undefined): void {
    if (schema !== undefined) this.#units.add(schema);
  }

  /** @param schema the unit's; undefined: it has what belongs to none */
  async compare(
    schema: string | undefined,
    archive: ArtifactView,
    context: Context,
  ): Promise<{ readonly compared: readonly string[]; readonly differences: readonly string[] }> {
    const wanted = await readToc(createReadStream(await archive.spool()), isSchema);
    const { index, bySchema, rest, major } = await (this.#dumped ??= this.#dump(context));
    const definitions = majorVersion(wanted.header.dumpVersion) === major;
    const own = schema === undefined ? rest : (bySchema.get(schema) ?? []);
    return {
      compared: [describeComparison(wanted.entries, definitions)],
      differences: compareWithin(wanted.entries, index, own, definitions),
    };
  }

  async #dump(context: Context): Promise<Dumped> {
    const owners = new EntryOwners(await this.#schemas(context));
    const rest: TocEntry[] = [];
    const bySchema = new Map<string, TocEntry[]>();
    const keep = (entry: TocEntry): boolean => {
      if (preamble.has(entry.desc)) return false;
      const owner = owners.ownerOf(entry);
      if (!isSchema(entry)) return false;
      if (owner === undefined || !this.#units.has(owner)) rest.push(entry);
      // A table of a publication carries its schema, and is the database's.
      else if (entry.namespace === owner) {
        const known = bySchema.get(owner);
        if (known) known.push(entry);
        else bySchema.set(owner, [entry]);
      }
      return true;
    };
    const { toc, major } = await dumpSchema(this.#setup, this.#server, this.name, keep, context);
    return { index: new IndexedCopy(toc.entries), bySchema, rest, major };
  }

  async #schemas({ signal }: Context): Promise<ReadonlyMap<number, string>> {
    const session = await openSession(this.#server, {
      database: this.name,
      applicationName: 'pgsilo compare',
      purpose: 'compare the schemas of a restored copy',
      signal,
    });
    try {
      const rows = await session.query<{ oid: number; name: string }>(
        'SELECT oid::int8::float8 AS oid, nspname::text AS name FROM pg_namespace',
      );
      return new Map(rows.map(({ oid, name }) => [oid, name]));
    } finally {
      await session.close();
    }
  }
}
