import { optionsJsonSchema } from '@pgsilo/plugin';
import type { PluginDefinition, PluginKind } from '@pgsilo/plugin';
import { fixedKeys, fixedOptions } from './fixed-options.ts';

type Schema = Record<string, unknown>;

const kinds: readonly PluginKind[] = ['source', 'transform', 'sink'];
const placeholder: Schema = { type: 'string', pattern: String.raw`\$\{(?:env|file):` };
/** What may follow `use:` besides the plugins listed: a file, a scoped package, or a package named after pgsilo. */
const foreignPlugin: Schema = {
  type: 'string',
  pattern: String.raw`^(?:\.{0,2}/|@|pgsilo-)|\$\{(?:env|file):`,
};

/**
 * JSON Schema of pipeline files, for editors. Draft 07: VS Code's YAML extension knows that one best.
 * With `use:` given, exactly that plugin's options are offered and checked. Files without `pipeline:` or with `extends:` may be incomplete: the rest is in another file.
 */
export function pipelineJsonSchema(plugins: readonly PluginDefinition[]): Record<string, unknown> {
  const fixed = draft07(optionsJsonSchema(fixedOptions), '') as { properties: Record<string, Schema> };
  const { pipeline, source, transforms, sinks, ...others } = fixed.properties;
  const item = (list: Schema | undefined): Schema => (list?.['items'] ?? {}) as Schema;
  const definitions = Object.fromEntries(
    kinds.flatMap((kind) => {
      const fixedPart = kind === 'source' ? source! : item(kind === 'sink' ? sinks : transforms);
      return definitionsOf(kind, plugins, fixedPart);
    }),
  );
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'pgsilo pipeline',
    description: 'What pgsilo backs up, how, and where to',
    type: 'object',
    properties: {
      pipeline,
      extends: extendsSchema,
      source: { $ref: '#/definitions/source' },
      transforms: { ...transforms, items: { $ref: '#/definitions/transform' } },
      sinks: { ...sinks, items: { $ref: '#/definitions/sink' } },
      ...others,
    },
    patternProperties: { '^x-': { description: 'Ignored; a place for YAML anchors' } },
    additionalProperties: false,
    if: { required: ['pipeline'], not: { required: ['extends'] } },
    // oxlint-disable-next-line unicorn/no-thenable
    then: { required: ['source', 'sinks'] },
    definitions,
  };
}

const extendsSchema: Schema = {
  description:
    'Files whose options this one builds upon: maps are merged key by key, everything else is replaced',
  anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }],
  examples: ['./base.yaml'],
};

function definitionsOf(
  kind: PluginKind,
  plugins: readonly PluginDefinition[],
  fixedPart: Schema,
): [string, Schema][] {
  const own = plugins.filter((plugin) => plugin.kind === kind);
  const fixedProperties = fixedPart['properties'] as Record<string, Schema>;
  const named = own.map((plugin) => ({ const: plugin.name, description: plugin.summary }));
  const choice: Schema = {
    description: fixedPart['description'],
    examples: fixedPart['examples'],
    type: 'object',
    required: ['use'],
    properties: {
      ...fixedProperties,
      use: { description: fixedProperties['use']?.['description'], anyOf: [...named, foreignPlugin] },
    },
    allOf: own.map((plugin) => ({
      if: { properties: { use: { const: plugin.name } }, required: ['use'] },
      // oxlint-disable-next-line unicorn/no-thenable
      then: { $ref: `#/definitions/${kind}-${plugin.name}` },
    })),
  };
  return [
    [kind, choice],
    ...own.map((plugin): [string, Schema] => pluginDefinition(plugin, fixedProperties)),
  ];
}

function pluginDefinition(
  plugin: PluginDefinition,
  fixedProperties: Readonly<Record<string, Schema>>,
): [string, Schema] {
  const name = `${plugin.kind}-${plugin.name}`;
  const options = draft07(optionsJsonSchema(plugin.options), `/definitions/${name}`) as Schema;
  const keys: readonly string[] = fixedKeys[plugin.kind];
  const fixed = Object.fromEntries(keys.map((key) => [key, fixedProperties[key] ?? {}]));
  return [
    name,
    {
      ...options,
      title: name,
      description: plugin.summary,
      properties: {
        ...fixed,
        use: { const: plugin.name, description: plugin.summary },
        ...(options['properties'] as Schema | undefined),
      },
      additionalProperties: false,
    },
  ];
}

/** Draft 2020-12, as zod writes it, in the words of draft 07; pgsilo's own words in those that editors know. */
function draft07(node: unknown, base: string): unknown {
  if (Array.isArray(node)) return node.map((item) => draft07(item, base));
  if (typeof node !== 'object' || node === null) return node;
  const schema = node as Schema;
  const { $schema: _, example, secret, prefixItems, $defs, ...rest } = schema;
  const result: Schema = {};
  for (const [key, value] of Object.entries(rest)) result[key] = rewritten(key, value, base);
  if (example !== undefined) result['examples'] = [example];
  if (secret === true) result['writeOnly'] = true;
  if ($defs !== undefined) result['definitions'] = members($defs, base);
  if (prefixItems !== undefined) {
    result['items'] = draft07(prefixItems, base);
    if (rest['items'] !== undefined) result['additionalItems'] = draft07(rest['items'], base);
  }
  return takesPlaceholders(result);
}

function rewritten(key: string, value: unknown, base: string): unknown {
  if (key === '$ref') return String(value).replace(/^#/, `#${base}`).replace('/$defs/', '/definitions/');
  if (key === 'properties' || key === 'patternProperties') return members(value, base);
  if (['default', 'enum', 'const', 'examples', 'required', 'propertyNames'].includes(key)) return value;
  return draft07(value, base);
}

/** Names here are those of options, not of JSON Schema: an option may well be called `example` or `secret`. */
function members(value: unknown, base: string): Schema {
  return Object.fromEntries(
    Object.entries(value as Schema).map(([name, inner]) => [name, draft07(inner, base)]),
  );
}

const annotations = ['description', 'default', 'examples', 'title', 'writeOnly'] as const;

/** Any value may come from a placeholder; where text alone would not do, that is said. */
function takesPlaceholders(schema: Schema): Schema {
  const scalar = ['string', 'number', 'integer', 'boolean'].includes(String(schema['type']));
  const free =
    schema['type'] === 'string' && !['enum', 'const', 'pattern', 'format'].some((word) => word in schema);
  if (!scalar || free) return schema;
  const about = Object.fromEntries(
    annotations.filter((word) => word in schema).map((word) => [word, schema[word]]),
  );
  const rule = Object.fromEntries(
    Object.entries(schema).filter(([word]) => !annotations.includes(word as (typeof annotations)[number])),
  );
  return { ...about, anyOf: [rule, placeholder] };
}
