import { resolvePlugin } from '@pgsilo/pipeline-file';
import { describeOptions, PgsiloError, toPgsiloError } from '@pgsilo/plugin';
import type { OptionRow, PluginDefinition } from '@pgsilo/plugin';
import { builtins } from '../builtins.ts';
import type { Invocation } from '../invocation.ts';
import { loadBuiltins } from '../load-builtins.ts';
import { formatCount } from '../terminal/format.ts';
import { printable, printableText } from '../terminal/printable.ts';
import { renderTable } from '../terminal/table.ts';

/** `pgsilo plugins`: what is installed, or one plugin with its options. */
export async function plugins(invocation: Invocation, name: string | undefined): Promise<number> {
  if (name === undefined) return listAll(invocation);
  const definitions = await findPlugins(name);
  if (invocation.json) await invocation.out.json({ plugins: definitions.map(pluginDocument) });
  else
    await invocation.out.write(
      definitions.map((definition) => pluginText(definition, invocation)).join('\n'),
    );
  return 0;
}

const kinds = ['source', 'transform', 'sink'] as const;

/** The plugins that `use: name` can mean: of any kind, also a file or a package that does not come with pgsilo. */
async function findPlugins(name: string): Promise<PluginDefinition[]> {
  const lookup = { from: process.cwd(), builtinsFrom: import.meta.url, known: builtins };
  const found: PluginDefinition[] = [];
  const errors: PgsiloError[] = [];
  for (const kind of kinds) {
    try {
      found.push(await resolvePlugin(kind, name, lookup));
    } catch (error) {
      errors.push(toPgsiloError(error));
    }
  }
  if (found.length > 0) return found;
  const broken = errors.find(({ code }) => code !== 'plugin.unknown');
  if (broken) throw broken;
  const near = errors.map(({ hint }) => hint).find((hint) => hint?.startsWith('did you mean'));
  throw new PgsiloError('plugin.unknown', `there is no plugin ${JSON.stringify(name)}`, {
    hint: `${near === undefined ? '' : `${near} `}\`pgsilo plugins\` lists those that are installed.`,
  });
}

async function listAll({ json, out, style }: Invocation): Promise<number> {
  const definitions = await loadBuiltins(builtins);
  if (json) {
    await out.json({ plugins: definitions.map(({ kind, name, summary }) => ({ kind, name, summary })) });
    return 0;
  }
  const rows = definitions
    .toSorted((a, b) => kinds.indexOf(a.kind) - kinds.indexOf(b.kind) || (a.name < b.name ? -1 : 1))
    .map(({ kind, name, summary }) => [
      kind,
      { text: printable(name), colour: style.bold },
      printableText(summary),
    ]);
  await out.write(renderTable(listColumns, rows, { style, width: out.width }));
  await out.write(`\n${formatCount(rows.length, 'plugin')}. \`pgsilo plugins NAME\` shows its options.\n`);
  return 0;
}

function pluginDocument(definition: PluginDefinition): object {
  const { kind, name, summary, traits, options } = definition;
  return { kind, name, summary, traits, options: describeOptions(options) };
}

function pluginText(definition: PluginDefinition, { style, out }: Invocation): string {
  const { kind, name, summary, traits, options } = definition;
  const look = { style, width: out.width };
  const rows = describeOptions(options).map((row) => [
    { text: row.name, colour: style.bold },
    aboutOption(row),
  ]);
  const traitRows = Object.entries(traits).map(([trait, value]) => [trait, String(value)]);
  const parts = [`${style.bold(name)}  ${kind}\n${printableText(summary)}\n`];
  parts.push(rows.length === 0 ? 'It has no options.\n' : renderTable(optionColumns, rows, look));
  if (traitRows.length > 0) parts.push(renderTable(traitColumns, traitRows, look));
  return parts.join('\n');
}

function aboutOption({ type, required, secret, default: preset, description, example }: OptionRow): string {
  const kind = [type, required ? 'required' : 'optional', ...(secret ? ['secret'] : [])].join(', ');
  const lines = [
    printableText(description),
    kind + (preset === undefined ? '' : `, default ${valueText(preset)}`),
  ];
  if (example !== undefined) lines.push(`for example ${valueText(example)}`);
  return lines.filter((line) => line !== '').join('\n');
}

function valueText(value: unknown): string {
  return printableText(typeof value === 'string' ? value : JSON.stringify(value));
}

const listColumns = [
  { title: 'kind' },
  { title: 'use' },
  { title: 'what it is for', wrap: 'words' },
] as const;

const optionColumns = [{ title: 'option' }, { title: 'what it is', wrap: 'words' }] as const;
const traitColumns = [{ title: 'trait' }, { title: 'value', wrap: 'words' }] as const;
