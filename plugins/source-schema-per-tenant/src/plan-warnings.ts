import { anyGlob, listed, looksRestored, plural, showName, type Listed } from '@pgsilo/postgres';
import type { CrossReference } from './references.ts';
import type { Schema } from './schemas.ts';
import type { SourceSetup } from './setup.ts';

/** From this many schemas on that need the same one, they are counted rather than named. */
const many = 4;

/** What a person should know of a plan: schemas that no rule covers, and units that cannot be restored alone. */
export function planWarnings(
  setup: SourceSetup,
  units: readonly Listed[],
  schemas: ReadonlyMap<string, Schema>,
  references: readonly CrossReference[],
): readonly string[] {
  const covered = new Set(units.map((unit) => unit.place));
  const excluded = anyGlob(setup.options.exclude);
  return [
    ...(setup.options.uncovered === 'ignore' ? [] : uncoveredWarning(covered, excluded, schemas)),
    ...copiesWarning([...covered].filter(looksRestored)),
    ...referenceWarnings(covered, excluded, references),
  ];
}

function uncoveredWarning(
  covered: ReadonlySet<string>,
  excluded: (name: string) => boolean,
  schemas: ReadonlyMap<string, Schema>,
): readonly string[] {
  const names = [...schemas.values()]
    .filter(
      ({ name, ofExtension, tables }) => !ofExtension && tables > 0 && !covered.has(name) && !excluded(name),
    )
    .map(({ name }) => showName(name));
  if (names.length === 0) return [];
  const subject = names.length === 1 ? 'a schema with tables is' : `${names.length} schemas with tables are`;
  return [`${subject} covered by no rule and backed up as a part of @database: ${listed(names)}`];
}

/** Schemas that a restore in place has kept fit a pattern as the tenant does. */
function copiesWarning(names: readonly string[]): readonly string[] {
  if (names.length === 0) return [];
  const look = names.length === 1 ? 'a schema looks like a copy' : `${names.length} schemas look like copies`;
  return [
    `${look} made by a restore, backed up like any other: ${listed(names.map(showName))}; drop what nobody needs`,
  ];
}

/** Schemas of units that need another schema: a restore of the one alone fails, or points into the live other one. */
function referenceWarnings(
  covered: ReadonlySet<string>,
  excluded: (name: string) => boolean,
  references: readonly CrossReference[],
): readonly string[] {
  const byTarget = new Map<string, CrossReference[]>();
  for (const reference of references) {
    if (reference.toSchema === null || !covered.has(reference.schema)) continue;
    const known = byTarget.get(reference.toSchema);
    if (known) known.push(reference);
    else byTarget.set(reference.toSchema, [reference]);
  }
  return [...byTarget].flatMap(([target, from]) => {
    const left = excluded(target) ? ', which is not backed up' : '';
    const of = (reference: CrossReference): string =>
      `${plural(reference.objects, 'object')}, such as ${reference.example}`;
    if (from.length >= many)
      return [
        `${plural(from.length, 'schema')} cannot be restored without schema ${showName(target)}${left}: ${showName(from[0]!.schema)} has ${of(from[0]!)}`,
      ];
    return from.map(
      (reference) =>
        `schema ${showName(reference.schema)} cannot be restored without schema ${showName(target)}${left}: ${of(reference)}`,
    );
  });
}
