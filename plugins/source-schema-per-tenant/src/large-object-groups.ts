import { PgsiloError, type Unit } from '@pgsilo/plugin';
import { showName, type TocEntry } from '@pgsilo/postgres';
import type { ArchivePlace } from './groups.ts';
import { schemaOf } from './units.ts';

const prefix = 'large objects ';
const attached = new Set(['BLOBS', 'COMMENT', 'ACL', 'SECURITY LABEL']);

const saysHowToRead = new Set(['ENCODING', 'STDSTRINGS', 'SEARCHPATH']);

/** Up to a thousand large objects of one owner, as pg_dump 17 and later write them: their definitions, and one block of contents. */
interface Batch {
  /** Undefined: of a unit that is not read. */
  readonly unit: Unit | undefined;
  readonly name: string;
}

/**
 * Gives each batch of large objects to the tenant whose schema's owner owns it, else to the database's unit. Each is an archive of its own: the batches come
 * one after another behind all rows, those of one owner not necessarily together.
 */
export class LargeObjectGroups {
  readonly #units: ReadonlyMap<string | undefined, Unit>;
  readonly #owners: ReadonlyMap<string, string>;
  readonly #batches = new Map<number, Batch>();

  /** @param owners the tenants' schemas, by the role that owns each */
  constructor(units: readonly Unit[], owners: ReadonlyMap<string, string>) {
    this.#units = new Map(units.map((unit) => [schemaOf(unit), unit]));
    this.#owners = owners;
  }

  /** Asked in the archive's order. Undefined: the entry is about no large object; `nowhere`: about some that are of no unit that is read. */
  groupOf(entry: TocEntry): string | { readonly nowhere: true } | undefined {
    if (entry.desc === 'BLOB')
      throw new PgsiloError(
        'source.archive-invalid',
        `the archive has large objects one by one (entry ${entry.dumpId}), as pg_dump up to 16 writes them: their contents cannot be told apart by owner`,
        { hint: 'Set `largeObjects: database`, or use a pg_dump of version 17 or later.' },
      );
    if (entry.desc === 'BLOB METADATA') {
      const unit = this.#units.get(this.#owners.get(entry.owner));
      this.#batches.set(entry.dumpId, { unit, name: `large-objects-${entry.catalogOid}.dump` });
      return groupOf(entry.dumpId, unit);
    }
    const about = attached.has(entry.desc) ? entry.dependencies[0] : undefined;
    const batch = about === undefined ? undefined : this.#batches.get(about);
    if (batch) return groupOf(about!, batch.unit);
    if (entry.desc !== 'BLOBS') return undefined;
    throw new PgsiloError(
      'source.archive-invalid',
      `the contents of large objects ${showName(entry.tag)} (entry ${entry.dumpId}) are of no batch, so that their owner is not known`,
      { hint: 'Set `largeObjects: database`.' },
    );
  }

  /** Undefined: the group is none of these. */
  placeOf(group: string): ArchivePlace | undefined {
    if (!group.startsWith(prefix)) return undefined;
    const { unit, name } = this.#batches.get(Number(group.slice(prefix.length)))!;
    return { unit: unit!, name, check: requireLargeObject, end: () => undefined };
  }

  /** Whether the unit has archives of large objects besides its own one; known when all entries were seen. */
  has(unit: Unit): boolean {
    return [...this.#batches.values()].some((batch) => batch.unit === unit);
  }
}

function requireLargeObject(entry: TocEntry): void {
  const { desc, namespace, tag } = entry;
  const wanted = desc === 'BLOB METADATA' || attached.has(desc) || saysHowToRead.has(desc);
  if (wanted && namespace === undefined) return;
  throw new PgsiloError(
    'source.archive-invalid',
    `${desc} ${showName(tag)} is in an archive of large objects`,
    { hint: 'This is a defect of pgsilo: nothing was kept. Please report it.' },
  );
}

function groupOf(batch: number, unit: Unit | undefined): string | { readonly nowhere: true } {
  return unit ? prefix + batch : { nowhere: true };
}
