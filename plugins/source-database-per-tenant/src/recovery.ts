import type { Context, Recovery, RecoveryUnit } from '@pgsilo/plugin';
import { globalsUnit, anyGlob, parseConnection, refuseBadNames, sweepServer } from '@pgsilo/postgres';
import { listTenants } from './plan.ts';
import type { SourceSetup } from './setup.ts';

/** Roles, then the registry's database, then what that one names on the server that is restored into. */
export function recoverAll(setup: SourceSetup, server: string, context: Context): Recovery {
  const { globals, registry } = setup.options;
  const there: SourceSetup = { ...setup, settings: parseConnection(server) };
  return {
    first: [
      ...(globals ? [{ unit: globalsUnit.name }] : []),
      ...(registry ? [{ unit: registry.database, to: registry.database }] : []),
    ],
    async others(known) {
      await sweepServer(there.settings, context);
      if (setup.options.match !== undefined) return matching(setup, await known());
      const listed = await listTenants(there, new Map(), context);
      refuseBadNames(listed, 'database');
      return listed
        .filter(({ place }) => place !== registry?.database)
        .map(({ unit, place }) => ({ unit, to: place }));
    },
  };
}

/** Their names are those of their databases; which there were is known from the backups alone. */
function matching({ options }: SourceSetup, known: readonly string[]): RecoveryUnit[] {
  const [matches, excluded] = [anyGlob(options.match), anyGlob(options.exclude)];
  return known
    .filter((name) => !name.startsWith('@') && matches(name) && !excluded(name))
    .map((name) => ({ unit: name, to: name }));
}
