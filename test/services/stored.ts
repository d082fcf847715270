import { readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { pgsiloOk, type CallOptions } from './pgsilo.ts';

/** Every file below a folder, relative to it; empty when it is not there. */
export function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
      .sort();
  } catch {
    return [];
  }
}

/** The objects of one unit in a local sink's folder, whole or not; its name is a plain one, or `@` and a plain one. */
export function objectsOf(store: string, unit: string): string[] {
  return filesIn(store).filter((path) => path.includes(`/units/${unit.replace('@', '_')}/`));
}

/** Units that `pgsilo list` shows, each once. */
export async function listed(file: string, at: CallOptions, ...more: readonly string[]): Promise<string[]> {
  const { backups } = (await pgsiloOk(['list', file, '--json', ...more], at)).json<{
    readonly backups: readonly { readonly unit: string }[];
  }>();
  return [...new Set(backups.map(({ unit }) => unit))].sort();
}
