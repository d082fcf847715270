import type { Unit } from '@pgsilo/plugin';
import { invalidPlan, showName } from '@pgsilo/postgres';

/** What belongs to the database and to no tenant: extensions, publications, event triggers, settings, schemas that no rule covers. */
export const databaseUnitName = '@database';

export function databaseUnit(database: string): Unit {
  return { name: databaseUnitName, labels: {}, origin: { database } };
}

/** The schema of a tenant's unit; undefined: it is the database's own. */
export function schemaOf(unit: Unit): string | undefined {
  if (unit.name === databaseUnitName) return undefined;
  const schema = unit.origin['schema'];
  if (typeof schema !== 'string') throw invalidPlan(`unit ${showName(unit.name)} names no schema`);
  return schema;
}
