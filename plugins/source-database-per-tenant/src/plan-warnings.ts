import { showName, type Database, anyGlob, listed, looksRestored, type Listed } from '@pgsilo/postgres';
import type { SourceSetup } from './setup.ts';

/**
 * What a person should know of a plan: databases that no rule covers, copies that restores left. That units share no snapshot is a trait.
 * Copies are ordinary databases: where a rule covers one it is backed up, and the warning says so.
 */
export function planWarnings(
  setup: SourceSetup,
  tenants: readonly Listed[],
  databases: ReadonlyMap<string, Database>,
): readonly string[] {
  if (setup.options.uncovered === 'ignore') return [];
  const covered = new Set(tenants.map((one) => one.place));
  const excluded = anyGlob(setup.options.exclude);
  const ours = [...databases.values()].filter(({ isTemplate }) => !isTemplate).map(({ name }) => name);
  const uncovered = ours.filter((name) => name !== 'postgres' && !covered.has(name) && !excluded(name));
  const warnings: string[] = [];

  const forgotten = uncovered.filter((name) => !looksRestored(name));
  if (forgotten.length > 0)
    warnings.push(`${subject(forgotten)} on the server and not backed up: ${show(forgotten)}`);
  const copies = [
    { names: uncovered.filter(looksRestored), what: 'not backed up' },
    {
      names: ours.filter((name) => covered.has(name) && looksRestored(name)),
      what: 'backed up like any other',
    },
  ];
  for (const { names, what } of copies) {
    if (names.length === 0) continue;
    const look =
      names.length === 1 ? 'a database looks like a copy' : `${names.length} databases look like copies`;
    warnings.push(`${look} made by restores, ${what}: ${show(names)}; drop what nobody needs`);
  }
  return warnings;
}

function subject(names: readonly string[]): string {
  return names.length === 1 ? 'a database is' : `${names.length} databases are`;
}

function show(names: readonly string[]): string {
  return listed(names.map(showName));
}
