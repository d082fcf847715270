import type { Path } from './located.ts';

/** The parts of a JSON Schema that say something about options to a person. */
export interface OptionSchema {
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, OptionSchema>>;
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly pattern?: string;
  readonly anyOf?: readonly OptionSchema[];
  readonly oneOf?: readonly OptionSchema[];
  readonly allOf?: readonly OptionSchema[];
  readonly items?: OptionSchema | boolean;
  readonly prefixItems?: readonly OptionSchema[];
  readonly properties?: Readonly<Record<string, OptionSchema>>;
  readonly additionalProperties?: OptionSchema | boolean;
  readonly description?: string;
  readonly example?: unknown;
  readonly secret?: boolean;
}

/** What is declared for one place: several schemas where the options are a choice. */
export class Declared {
  readonly #root: OptionSchema;
  readonly schemas: readonly OptionSchema[];

  constructor(root: OptionSchema, schemas: readonly OptionSchema[] = [root]) {
    this.#root = root;
    this.schemas = [...new Set(schemas.flatMap((schema) => choices(schema, root, new Set())))];
  }

  /** What is declared for an option or item of this one. */
  child(step: string | number): Declared {
    const found = this.schemas.flatMap((schema) => {
      if (typeof step === 'number') return [schema.prefixItems?.[step] ?? schema.items];
      const property = Object.hasOwn(schema.properties ?? {}, step) ? schema.properties![step] : undefined;
      return [property ?? schema.additionalProperties];
    });
    return new Declared(
      this.#root,
      found.filter((schema) => typeof schema === 'object'),
    );
  }

  at(path: Path): Declared {
    return path.reduce<Declared>((declared, step) => declared.child(step), this);
  }

  get known(): boolean {
    return this.schemas.length > 0;
  }

  get secret(): boolean {
    return this.schemas.some((schema) => schema.secret === true);
  }

  /** Whether a text may stand here, as far as its form goes. */
  takesText(text: string): boolean {
    return this.schemas.some(
      (schema) =>
        schema.type === 'string' &&
        (schema.pattern === undefined || new RegExp(schema.pattern, 'u').test(text)),
    );
  }

  /** Names of the options declared here. */
  get names(): readonly string[] {
    return [...new Set(this.schemas.flatMap((schema) => Object.keys(schema.properties ?? {})))];
  }

  /** What the option is for and how one looks, as a hint; undefined when the plugin says nothing. */
  about(name: string): string | undefined {
    const described = this.schemas.find((schema) => schema.description !== undefined);
    const example = this.schemas.find((schema) => schema.example !== undefined)?.example;
    const sample = example === undefined ? '' : `${name}: ${yamlOf(example)}`;
    if (described) {
      const sentence = described.description!.replace(/[.\s]*$/, '');
      return sample === '' || this.secret ? sentence : `${sentence}; for example ${sample}`;
    }
    return sample === '' || this.secret ? undefined : `for example ${sample}`;
  }
}

function yamlOf(example: unknown): string {
  return typeof example === 'string' && /^[\w./@-][\w ./@:-]*$/.test(example) && !/: |:$/.test(example)
    ? example
    : JSON.stringify(example);
}

function choices(schema: OptionSchema, root: OptionSchema, seen: Set<OptionSchema>): OptionSchema[] {
  if (seen.has(schema)) return [];
  seen.add(schema);
  const inner = [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])];
  if (schema.$ref !== undefined) {
    const target = schema.$ref === '#' ? root : root.$defs?.[schema.$ref.replace(/^#\/\$defs\//, '')];
    if (target) inner.push(target);
  }
  return [schema, ...inner.flatMap((choice) => choices(choice, root, seen))];
}
