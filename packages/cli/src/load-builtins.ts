import { isPlugin, PgsiloError } from '@pgsilo/plugin';
import type { PluginDefinition } from '@pgsilo/plugin';
import type { Builtin } from './builtins.ts';

/** Imports built-in plugins. Throws `plugin.invalid` for one that cannot be imported or is none. */
export async function loadBuiltins(wanted: readonly Builtin[]): Promise<PluginDefinition[]> {
  return Promise.all(
    wanted.map(async (each) => {
      const module = await each.load().catch((cause: unknown) => {
        throw new PgsiloError('plugin.invalid', `${each.package} cannot be imported`, { cause });
      });
      if (isPlugin(module.default)) return module.default;
      throw new PgsiloError('plugin.invalid', `${each.package} exports no plugin`);
    }),
  );
}
