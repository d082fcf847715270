import { optionsJsonSchema } from '@pgsilo/plugin';
import { checkSection } from './check-section.ts';
import type { Findings } from './findings.ts';
import { fixedKeys, fixedOptions } from './fixed-options.ts';
import type { FixedOptions } from './fixed-options.ts';
import { quote, without } from './located.ts';
import type { Located, LocatedEntry, LocatedMap, Path } from './located.ts';
import { nearest } from './nearest.ts';
import { Declared } from './option-schema.ts';
import type { OptionSchema } from './option-schema.ts';

/** Checks all of a pipeline but the plugins' options. */
export async function checkFixed(root: LocatedMap, findings: Findings): Promise<FixedOptions | undefined> {
  const declared = new Declared(optionsJsonSchema(fixedOptions) as OptionSchema);
  const entries = new Map([...root.entries].map(([key, entry]) => [key, withoutPluginOptions(key, entry)]));
  const limits = declared.child('limits').names;
  return await checkSection(
    {
      schema: fixedOptions,
      declared,
      root: { ...root, entries },
      prefix: [],
      alsoValid: ['extends'],
      candidates: (path) => (path.at(-1) === 'timezone' ? Intl.supportedValuesOf('timeZone') : []),
      aboutUnknown: (path) => misplacedLimit(path, declared.names, limits),
    },
    findings,
  );
}

function misplacedLimit(
  path: Path,
  valid: readonly string[],
  limits: readonly string[],
): { message: string; hint: string } | undefined {
  const key = String(path[0]);
  if (path.length !== 1 || nearest(key, valid) !== undefined || !limits.includes(key)) return undefined;
  return { message: `unknown option ${quote(key)}`, hint: `it belongs under "limits"` };
}

function withoutPluginOptions(key: string, entry: LocatedEntry): LocatedEntry {
  if (key === 'source') return { ...entry, value: onlyKeys(entry.value, fixedKeys.source) };
  const keys = key === 'sinks' ? fixedKeys.sink : fixedKeys.transform;
  if ((key !== 'sinks' && key !== 'transforms') || entry.value.kind !== 'list') return entry;
  return {
    ...entry,
    value: { ...entry.value, items: entry.value.items.map((item) => onlyKeys(item, keys)) },
  };
}

function onlyKeys(node: Located, keys: readonly string[]): Located {
  return node.kind === 'map' ? without(node, (key) => !keys.includes(key)) : node;
}
