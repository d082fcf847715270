import { z } from 'zod';
import { Secret } from './secret.ts';

/** What each option carries for people and editors: `.meta({ description, example })`. */
export interface OptionAbout {
  readonly description: string;
  readonly example: string | number | boolean | readonly unknown[] | Readonly<Record<string, unknown>>;
}

/** An option whose value never prints. Reaches the plugin as a {@link Secret}. */
export function secret(about: OptionAbout): z.ZodPipe<z.ZodString, z.ZodTransform<Secret, string>> {
  return z
    .string()
    .min(1)
    .transform((value) => new Secret(value))
    .meta({ ...about, secret: true });
}

const milliseconds: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};
const durationForm = /^(\d+(?:\.\d+)?)(ms|s|m|h|d|w)$/;

/** Milliseconds of `500ms`, `30s`, `10m`, `2h`, `7d`, `4w`; undefined when it is none of these. */
export function parseDuration(text: string): number | undefined {
  const match = durationForm.exec(text);
  return match ? Number(match[1]) * milliseconds[match[2] as string]! : undefined;
}

/** An option like `30s` or `2h`. Reaches the plugin as milliseconds. */
export function duration(about: OptionAbout): z.ZodPipe<z.ZodString, z.ZodTransform<number, string>> {
  return z
    .string()
    .regex(durationForm, 'expected a duration such as 30s, 10m or 2h')
    .transform((text) => parseDuration(text) as number)
    .meta({ ...about });
}

const units: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};
const sizeForm = /^(\d+(?:\.\d+)?)\s?(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)$/;

/** Bytes of `64MiB`, `512MB`, `1GB`; undefined when it is none of these. */
export function parseSize(text: string): number | undefined {
  const match = sizeForm.exec(text);
  return match ? Math.floor(Number(match[1]) * units[match[2] as string]!) : undefined;
}

/** An option like `64MiB` or `512MB`. Reaches the plugin as bytes. */
export function size(about: OptionAbout): z.ZodPipe<z.ZodString, z.ZodTransform<number, string>> {
  return z
    .string()
    .regex(sizeForm, 'expected a size such as 64MiB or 512MB')
    .transform((text) => parseSize(text) as number)
    .meta({ ...about });
}

/** One row of a plugin's option table. */
export interface OptionRow {
  readonly name: string;
  readonly type: string;
  readonly required: boolean;
  readonly secret: boolean;
  readonly default: unknown;
  readonly description: string;
  readonly example: unknown;
}

interface SchemaNode {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly SchemaNode[];
  readonly oneOf?: readonly SchemaNode[];
  readonly items?: SchemaNode;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly required?: readonly string[];
  readonly default?: unknown;
  readonly description?: string;
  readonly example?: unknown;
  readonly secret?: boolean;
}

/** The JSON Schema of what a person writes for these options. */
export function optionsJsonSchema(options: z.ZodObject): Record<string, unknown> {
  return z.toJSONSchema(options, { io: 'input' }) as Record<string, unknown>;
}

/** The options as rows, in order of declaration; nested objects as `registry.query`. */
export function describeOptions(options: z.ZodObject): readonly OptionRow[] {
  return rowsOf(optionsJsonSchema(options) as SchemaNode, '');
}

function rowsOf(node: SchemaNode, prefix: string): OptionRow[] {
  return Object.entries(node.properties ?? {}).flatMap(([name, field]) => [
    {
      name: prefix + name,
      type: typeOf(field),
      required: node.required?.includes(name) ?? false,
      secret: field.secret ?? false,
      default: field.default,
      description: field.description ?? '',
      example: field.example,
    },
    ...rowsOf(field, `${prefix}${name}.`),
  ]);
}

function typeOf(node: SchemaNode): string {
  if (node.enum) return node.enum.map((value) => JSON.stringify(value)).join(' | ');
  if (node.const !== undefined) return JSON.stringify(node.const);
  const choices = node.anyOf ?? node.oneOf;
  if (choices) return [...new Set(choices.map(typeOf))].join(' | ');
  if (node.type === 'array') return `list of ${node.items ? typeOf(node.items) : 'anything'}`;
  return node.type ?? 'anything';
}
