import { PgsiloError, Secret } from '@pgsilo/plugin';
import type { Ending, Hook, HookFacts, HookName, PipelineHooks } from './hooks.ts';

/** What programs need to run as they do elsewhere. All else stays with pgsilo: passwords and keys stand in variables, and under names that nobody can list. */
const harmless =
  /^(?:PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_[A-Z]+|TZ|TMPDIR|XDG_RUNTIME_DIR|DBUS_SESSION_BUS_ADDRESS|SSH_AUTH_SOCK)$/;

type About = HookFacts & Ending & { readonly hook: HookName; readonly pipeline: string };

/**
 * The environment of a hook: a few variables of pgsilo's own, those that the hook names, and what it is about. The named ones are taken for secrets: its output goes to the log.
 * Throws `hook.failed` when a named one is not set.
 */
export function hookEnvironment(
  { env }: Pick<PipelineHooks, 'env'>,
  { env: named }: Pick<Hook, 'env'>,
  about: About,
): Readonly<Record<string, string>> {
  const own = Object.entries(env).filter(([name]) => harmless.test(name));
  const passed = named.map((name): [string, string] => {
    const value = env[name];
    if (value === undefined)
      throw new PgsiloError(
        'hook.failed',
        `a ${about.hook} hook wants the variable ${name}, which is not set`,
        {
          hint: 'Set it, or take it out of `env` of the hook.',
        },
      );
    return [name, new Secret(value).reveal()];
  });
  const facts = Object.entries(about).map(([name, value]) => [`PGSILO_${name.toUpperCase()}`, value]);
  return Object.fromEntries(
    [...own, ...passed, ...facts].filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
