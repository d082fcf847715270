import { isPgsiloError, optionsJsonSchema, toPgsiloError } from '@pgsilo/plugin';
import type { PluginKind } from '@pgsilo/plugin';
import type { z } from 'zod';
import { checkSection, startOf } from './check-section.ts';
import { Findings } from './findings.ts';
import { fixedKeys } from './fixed-options.ts';
import { keyAt, placeAt, quote, without } from './located.ts';
import type { Located, LocatedMap, LocatedScalar, Path } from './located.ts';
import { PipelineFileError } from './mistake.ts';
import { Declared } from './option-schema.ts';
import type { OptionSchema } from './option-schema.ts';
import type { LoadOptions } from './pipeline.ts';
import { resolvePlugin } from './resolve-plugin.ts';
import type { PluginOf } from './resolve-plugin.ts';

/** A plugin that was found, and its options when they are right. */
export interface Configuration<Kind extends PluginKind> {
  readonly use: string;
  readonly definition: PluginOf<Kind>;
  readonly options: Record<string, unknown> | undefined;
  readonly placed: (error: unknown) => unknown;
}

/** Finds one plugin and checks its options; undefined when it was not found. What is wrong is in `findings`. */
export async function configurePlugin<Kind extends PluginKind>(
  kind: Kind,
  node: Located | undefined,
  prefix: Path,
  lookup: LoadOptions,
  findings: Findings,
): Promise<Configuration<Kind> | undefined> {
  // Anything that is no map with a text as `use` is a mistake of the fixed part.
  const use = node?.kind === 'map' ? node.entries.get('use')?.value : undefined;
  if (node?.kind !== 'map' || use?.kind !== 'scalar' || use.filled?.broken) return undefined;
  if (typeof use.value !== 'string' || use.value === '') return undefined;
  const found = await find(kind, use, use.value, prefix, lookup, findings);
  if (!found) return undefined;
  const { definition, declared } = found;
  const keys: readonly string[] = fixedKeys[kind];
  const options = await checkSection(
    {
      schema: strict(definition.options),
      declared,
      root: without(node, (key) => keys.includes(key)),
      prefix,
      alsoValid: keys,
    },
    findings,
  );
  return {
    use: use.filled?.written ?? use.value,
    definition,
    options,
    placed: (error) => placed(error, node, prefix),
  };
}

/** What no spec of options can say, the plugin says when it is made; the file knows where. */
function placed(error: unknown, root: LocatedMap, prefix: Path): unknown {
  if (!isPgsiloError(error) || error.code !== 'config.invalid') return error;
  const { message, hint, option } = error;
  const path = option === undefined ? [] : option.split('.');
  const findings = new Findings();
  const at = startOf(keyAt(root, path) ?? placeAt(root, path));
  findings.add({ at, path: [...prefix, ...path], message, hint });
  return new PipelineFileError(findings.mistakes(), error, hint);
}

async function find<Kind extends PluginKind>(
  kind: Kind,
  scalar: LocatedScalar,
  use: string,
  prefix: Path,
  lookup: LoadOptions,
  findings: Findings,
): Promise<{ definition: PluginOf<Kind>; declared: Declared } | undefined> {
  try {
    const definition = await resolvePlugin(kind, use, {
      from: scalar.place.file.folder,
      builtinsFrom: lookup.builtinsFrom,
      known: lookup.known,
      shown: quote(scalar.filled?.written ?? use, 200),
    });
    return { definition, declared: new Declared(optionsJsonSchema(definition.options) as OptionSchema) };
  } catch (error) {
    const { code, message, hint, cause } = toPgsiloError(error, 'plugin.invalid');
    findings.add({
      at: scalar.place,
      path: [...prefix, 'use'],
      message,
      hint,
      code: code === 'plugin.unknown' ? code : 'plugin.invalid',
      cause,
    });
    return undefined;
  }
}

/** The contract wants strict options; a plugin that forgot must not swallow misspelt ones. */
function strict(options: z.ZodObject): z.ZodObject {
  return options._zod.def.catchall === undefined ? options.strict() : options;
}
