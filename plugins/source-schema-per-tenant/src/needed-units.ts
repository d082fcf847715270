import { createReadStream } from 'node:fs';
import { PgsiloError, type BackupView, type RestoreRequest } from '@pgsilo/plugin';
import {
  artifactOf,
  listed,
  readFingerprint,
  readToc,
  showName,
  type Fingerprint,
  type Toc,
} from '@pgsilo/postgres';
import { readNeeds, type Need, type UnitNeeds } from './about.ts';
import { fetchLargeObjects, type LargeObjectArchive } from './restored-large-objects.ts';
import { schemaOf } from './units.ts';

/** A schema that another one cannot be restored without. */
export interface NeededUnit {
  readonly schema: string;
  readonly backup: BackupView;
  readonly needs: UnitNeeds;
  /** Path of the archive. */
  readonly archive: string;
  readonly toc: Toc;
  readonly largeObjects: readonly LargeObjectArchive[];
  readonly fingerprint: Fingerprint | undefined;
}

/**
 * Fetches the schemas that `schema` needs, and those that these need, so that each comes before who needs it. Throws `restore.refused` when there is none of that name, with what to do instead.
 */
export async function fetchNeeded(
  request: RestoreRequest,
  schema: string,
  needs: UnitNeeds,
): Promise<readonly NeededUnit[]> {
  const found = new Map<string, NeededUnit>();
  const seen = new Set([schema]);
  const visit = async (needing: string, { needsSchemas }: UnitNeeds): Promise<void> => {
    for (const need of needsSchemas) {
      if (seen.has(need.name)) continue;
      seen.add(need.name);
      const unit = await fetchUnit(request, needing, need);
      await visit(need.name, unit.needs);
      found.set(need.name, unit);
    }
  };
  await visit(schema, needs);
  return [...found.values()];
}

async function fetchUnit(request: RestoreRequest, needing: string, need: Need): Promise<NeededUnit> {
  const backup = await request.companion?.(need.unit ?? need.name);
  if (!backup || schemaOf(backup.unit) !== need.name) throw alone(needing, need, backup?.id);
  const needs = readNeeds(backup.facts.about);
  if (!needs)
    throw new PgsiloError(
      'restore.refused',
      `backup ${backup.id} of ${showName(backup.unit.name)} does not say what its schema needs`,
      {
        hint: 'Upgrade pgsilo.',
      },
    );
  return request.step(
    `fetch the backup of ${showName(backup.unit.name)} too and check its hashes`,
    async () => {
      const archive = await artifactOf(backup, 'schema.dump').spool();
      return {
        schema: need.name,
        backup,
        needs,
        archive,
        toc: await readToc(createReadStream(archive)),
        largeObjects: await fetchLargeObjects({ ...request, backup, step: (_, work) => work() }),
        fingerprint: await readFingerprint(backup),
      };
    },
  );
}

/** What a plan says of them. */
export function describeNeeded(
  needed: readonly NeededUnit[],
  { backup, toSchema }: RestoreRequest,
): readonly string[] {
  if (needed.length === 0) return [];
  const isOfOther = ({ facts }: BackupView): boolean => facts.snapshotAt !== backup.facts.snapshotAt;
  const shown = needed.map(
    ({ schema, backup: other }) =>
      `${showName(schema)}${isOfOther(other) ? ` (of another moment: ${other.facts.snapshotAt})` : ''}`,
  );
  return [
    `Bring along what it cannot be without${needed.some((each) => isOfOther(each.backup)) ? '' : ', from the same run'}: ${needed.length === 1 ? 'schema' : 'the schemas'} ${listed(shown)}${toSchema === undefined ? '' : ', under their own names'}`,
  ];
}

function alone(needing: string, { name, objects, example }: Need, other: string | undefined): PgsiloError {
  const what = objects === 1 ? example : `${objects} objects, such as ${example}`;
  const why =
    other === undefined
      ? 'there is no backup of a unit that is this schema'
      : `the unit of this name is another schema`;
  return new PgsiloError(
    'restore.refused',
    `schema ${showName(needing)} cannot stand alone: it needs schema ${showName(name)} (${what}), and ${why}`,
    {
      hint: `Put it into a database that has schema ${showName(name)}: --into NAME, or beside the live one: --to-schema NAME. Where no unit is this schema, it is a part of @database: pgsilo restore FILE @database --to NEW, then this one with --into NEW. List it in \`shared:\` for the next backups.`,
    },
  );
}
