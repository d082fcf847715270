import type { PluginKind, Setup, Transform } from '@pgsilo/plugin';
import { PgsiloError } from '@pgsilo/plugin';
import { builtins } from './builtins.ts';
import { loadBuiltins } from './load-builtins.ts';

interface Closable {
  close?(): Promise<void>;
}

/** What the contract demands of an instance; a plugin may be plain JavaScript that no compiler has seen. */
const required: Readonly<Record<PluginKind, readonly string[]>> = {
  source: ['plan', 'read', 'restore', 'check', 'close'],
  transform: ['encode', 'decode', 'byHand'],
  sink: ['put', 'get', 'stat', 'list', 'remove', 'check', 'close'],
};

/** The plugins that were made for one pipeline, so that each is closed once. */
export class MadePlugins {
  readonly setup: Setup;
  readonly #kept: Closable[] = [];
  /** Transforms that only old backups name. */
  readonly #extras = new Map<string, Promise<Transform>>();

  constructor(setup: Setup) {
    this.setup = setup;
  }

  /** Notes an instance for {@link close}, once it is known to have what its kind must have. Throws `plugin.invalid`. */
  async keep<Made extends Closable>(
    kind: PluginKind,
    use: string,
    making: Promise<Made> | Made,
  ): Promise<Made> {
    const made = await making;
    const has = (method: string): boolean =>
      typeof (made as Record<string, unknown> | undefined)?.[method] === 'function';
    const missing = required[kind].filter((method) => !has(method));
    if (missing.length > 0) {
      throw new PgsiloError(
        'plugin.invalid',
        `the ${kind} ${JSON.stringify(use)} made an object without ${missing.join(', ')}`,
        { hint: 'Its author finds the contract in @pgsilo/plugin.' },
      );
    }
    this.#kept.push(made);
    return made;
  }

  /**
   * A transform that the pipeline does not name. The name comes from a manifest, which whoever writes to the sink may have written: only what comes with pgsilo is made, no file and no other package.
   * Throws `plugin.unknown`, or `config.invalid` for one that takes options.
   */
  transform(name: string): Promise<Transform> {
    const known = this.#extras.get(name);
    if (known) return known;
    const making = this.#makeTransform(name);
    this.#extras.set(name, making);
    return making;
  }

  async #makeTransform(name: string): Promise<Transform> {
    const builtin = builtins.find((each) => each.kind === 'transform' && each.name === name);
    const [definition] = builtin ? await loadBuiltins([builtin]) : [];
    if (definition?.kind !== 'transform') {
      throw new PgsiloError('plugin.unknown', `no transform ${JSON.stringify(name)} comes with pgsilo`);
    }
    const options = definition.options.safeParse({});
    if (!options.success) {
      throw new PgsiloError('config.invalid', `the transform ${name} takes options`, {
        cause: options.error,
      });
    }
    return definition.create(options.data, this.setup);
  }

  /** Closes what {@link transform} made. */
  async closeExtras(): Promise<void> {
    await closeAll([...this.#extras.values()]);
  }

  /** Closes everything, when no pipeline came of it. */
  async close(): Promise<void> {
    await closeAll([...this.#kept, ...this.#extras.values()]);
  }
}

async function closeAll(plugins: readonly (Closable | Promise<Closable>)[]): Promise<void> {
  await Promise.allSettled(plugins.map(async (plugin) => (await plugin).close?.()));
}
