import type { Body, PgsiloError, SourceItem, Unit, UnitFacts } from '@pgsilo/plugin';
import {
  isData, observeArchive, type DatabaseSettings, type Fingerprint, type TakeFingerprint,
} from '@pgsilo/postgres'; // prettier-ignore
import { aboutOf, type UnitNeeds } from './about.ts';
import type { ArchivePlace } from './groups.ts';
import { RolesNeeded } from './recovery/roles.ts';
import type { CrossReference } from './references.ts';
import { schemaOf } from './units.ts';

/** What all units of the pass have in common. */
export interface PassFacts extends Pick<UnitFacts, 'snapshotAt' | 'server' | 'lsn' | 'tool'> {
  readonly settings: DatabaseSettings;
  readonly references: readonly CrossReference[];
  /** What of a schema is not in its archive, in PostgreSQL's own words. */
  readonly leftOut: (schema: string) => readonly string[];
  readonly largeObjects: UnitNeeds['largeObjects'];
  /** Names of the job's units, by schema. */
  readonly units: ReadonlyMap<string, string>;
}

/** An archive that went by, whose tables may still be being counted. */
interface Counting {
  readonly unit: Unit;
  readonly fingerprint: Promise<Fingerprint | PgsiloError> | undefined;
}

/** Makes artifacts and facts of units out of the archives that come from the split. A unit's tables are counted while its archive and the next one go by. */
export class UnitReader {
  readonly #count: TakeFingerprint | undefined;
  readonly #facts: PassFacts;
  readonly #references: ReadonlyMap<string, readonly CrossReference[]>;
  #counting: Counting | undefined;
  /** Of units with several archives: what is known so far. */
  readonly #several = new Map<Unit, Fingerprint[]>();
  readonly #roles = new Map<Unit, RolesNeeded>();

  /** @param count undefined: no fingerprints are taken. */
  constructor(count: TakeFingerprint | undefined, facts: PassFacts) {
    this.#count = count;
    this.#facts = facts;
    this.#references = Map.groupBy(facts.references, (reference) => reference.schema);
  }

  /**
   * One archive.
   * @param several whether the unit has more of them, as the database's always may
   */
  async *read(
    { unit, name, check, end }: ArchivePlace,
    body: Body,
    several = false,
  ): AsyncGenerator<SourceItem> {
    if (several || schemaOf(unit) === undefined) this.#several.set(unit, this.#several.get(unit) ?? []);
    const roles = this.#roles.get(unit) ?? new RolesNeeded();
    this.#roles.set(unit, roles);
    const archive = observeArchive(body, (entry) => {
      check(entry);
      roles.add(entry);
      return isData(entry);
    });
    const fingerprint = this.#count?.(archive);
    yield { type: 'artifact', unit: unit.name, name, format: 'pg-custom', body: archive.body };
    await archive.toc;
    end();
    yield* this.#endCounting();
    this.#counting = { unit, fingerprint };
  }

  /** What is left to say when the last archive has come. */
  async *finish(databaseUnit: Unit | undefined): AsyncGenerator<SourceItem> {
    yield* this.#endCounting();
    if (databaseUnit) yield jsonArtifact(databaseUnit, 'settings.json', this.#facts.settings);
    for (const [unit, parts] of this.#several) yield* this.#end(unit, this.#count && merged(parts));
  }

  /** The one archive of a unit, which is not understood and whose fingerprint was taken on the server. */
  *asItCame(
    unit: Unit,
    { body, version }: { readonly body: Body; readonly version: string },
    fingerprint: Fingerprint | undefined,
  ): Generator<SourceItem> {
    const own = schemaOf(unit) === undefined;
    const name = own ? 'database.dump' : 'schema.dump';
    yield { type: 'artifact', unit: unit.name, name, format: 'pg-custom', body };
    if (own) yield jsonArtifact(unit, 'settings.json', this.#facts.settings);
    yield* this.#end(unit, fingerprint, version);
  }

  async *#endCounting(): AsyncGenerator<SourceItem> {
    if (!this.#counting) return;
    const { unit, fingerprint: counting } = this.#counting;
    this.#counting = undefined;
    const fingerprint = await counting;
    if (fingerprint instanceof Error) throw fingerprint;
    const several = this.#several.get(unit);
    if (!several) yield* this.#end(unit, fingerprint);
    else if (fingerprint) several.push(fingerprint);
  }

  *#end(unit: Unit, fingerprint: Fingerprint | undefined, archiveVersion?: string): Generator<SourceItem> {
    const { settings, references: _, leftOut, largeObjects, units, ...facts } = this.#facts;
    if (fingerprint) yield jsonArtifact(unit, 'fingerprint.json', fingerprint);
    const schema = schemaOf(unit);
    const references = schema === undefined ? [] : (this.#references.get(schema) ?? []);
    const about =
      schema === undefined
        ? aboutOf(settings, fingerprint, { references, archiveVersion })
        : aboutOf(settings, fingerprint, {
            references,
            units,
            leftOut: leftOut(schema),
            largeObjects,
            archiveVersion,
          });
    // Of an archive that is not understood nobody knows them.
    const roles = this.#roles.get(unit)?.names(schema === undefined ? settings : undefined);
    this.#roles.delete(unit);
    const all = { ...about, ...(roles ? { needsRoles: roles } : {}) };
    yield { type: 'facts', unit: unit.name, facts: { status: 'good', ...facts, about: all } };
  }
}

function merged(parts: readonly Fingerprint[]): Fingerprint {
  return {
    ...parts[0]!,
    tables: parts.flatMap((part) => part.tables),
    sequences: parts.flatMap((part) => part.sequences),
    largeObjects: parts.reduce((sum, part) => sum + part.largeObjects, 0),
  };
}

function jsonArtifact(unit: Unit, name: string, content: object): SourceItem {
  const text = `${JSON.stringify(content, undefined, 1)}\n`;
  async function* body(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(text);
  }
  const estimatedBytes = Buffer.byteLength(text);
  return { type: 'artifact', unit: unit.name, name, format: 'json', body: body(), estimatedBytes };
}
