import { z } from 'zod';
import { rolesNeeded, type DatabaseSettings, type TocEntry } from '@pgsilo/postgres';

const form = z.object({ needsRoles: z.array(z.string()) });

/** Roles that a restore of the unit with owners and grants needs, out of its manifest; undefined: an earlier pgsilo did not say. */
export function readRoles(about: unknown): readonly string[] | undefined {
  return form.safeParse(about).data?.needsRoles;
}

/** Gathers them while the entries of a unit's archives go by. */
export class RolesNeeded {
  readonly #roles = new Set<string>();

  add(entry: TocEntry): void {
    for (const role of rolesNeeded([entry], undefined)) this.#roles.add(role);
  }

  /** @param settings of the database, for the unit that has them */
  names(settings: DatabaseSettings | undefined): string[] {
    return [...new Set([...this.#roles, ...(settings ? rolesNeeded([], settings) : [])])].sort();
  }
}
