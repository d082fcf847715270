import type { z } from 'zod';
import type { Findings } from './findings.ts';
import { expectations, flatten, noMessage } from './issues.ts';
import type { FlatIssue } from './issues.ts';
import { keyAt, nodeAt, pathText, placeAt, quote, toPlain } from './located.ts';
import type { Located, LocatedMap, LocatedScalar, Path } from './located.ts';
import { didYouMean, nearest } from './nearest.ts';
import type { Declared } from './option-schema.ts';
import { registerSecrets } from './secrets.ts';
import { wordIssue } from './wording.ts';

/** A piece of a pipeline that one zod schema judges: the fixed part, or one plugin's options. */
export interface Section<Schema extends z.ZodObject> {
  readonly schema: Schema;
  readonly declared: Declared;
  readonly root: LocatedMap;
  /** Where the section lies: `['sinks', 1]`. */
  readonly prefix: Path;
  /** Names that are valid here besides the schema's own, for "did you mean". */
  readonly alsoValid?: readonly string[];
  /** Values that would be right at a path, where the schema cannot list them. */
  readonly candidates?: (path: Path) => readonly string[];
  /** A better word about an unknown option than "unknown". */
  readonly aboutUnknown?: (path: Path) => { message: string; hint?: string } | undefined;
}

/** Parses a section; undefined when something is wrong, which is then in `findings`. */
export async function checkSection<Schema extends z.ZodObject>(
  section: Section<Schema>,
  findings: Findings,
): Promise<z.output<Schema> | undefined> {
  registerSecrets(section.root, section.declared);
  try {
    const first = await parse(section, new Map());
    if (first.success) return first.data;
    const coerced = coercions(first.error.issues, section.root);
    const result = coerced.size > 0 ? await parse(section, coerced) : first;
    if (result.success) return result.data;
    report(section, flatten(result.error.issues), findings);
  } catch (cause) {
    // What was thrown may quote the value: it is kept as the cause, which is not printed.
    const message = "the plugin's own check of its options failed";
    const { place } = section.root;
    findings.add({ at: startOf(place), path: section.prefix, message, code: 'plugin.invalid', cause });
  }
  return undefined;
}

async function parse<Schema extends z.ZodObject>(
  section: Section<Schema>,
  replace: ReadonlyMap<LocatedScalar, unknown>,
): Promise<z.ZodSafeParseResult<z.output<Schema>>> {
  return await section.schema.safeParseAsync(toPlain(section.root, replace), { error: () => noMessage });
}

/**
 * Placeholders yield text. Where a number or truth value is wanted and the scalar is one placeholder, text that is one counts as one.
 */
function coercions(issues: readonly z.core.$ZodIssue[], root: Located): Map<LocatedScalar, unknown> {
  const found = new Map<LocatedScalar, unknown>();
  for (const { path, issue } of expectations(issues)) {
    const node = nodeAt(root, path);
    if (node?.kind !== 'scalar' || !node.filled?.whole || node.filled.broken) continue;
    const value = coerced(String(node.value), issue);
    if (value !== undefined) found.set(node, value);
  }
  return found;
}

function coerced(text: string, issue: z.core.$ZodIssue): number | boolean | undefined {
  const number = /^-?(?:0|[1-9]\d*)(?:\.\d+)?$/.test(text) ? Number(text) : undefined;
  const truth = text === 'true' || text === 'false' ? text === 'true' : undefined;
  if (issue.code === 'invalid_type') {
    if (issue.expected === 'number' || issue.expected === 'int') return number;
    return issue.expected === 'boolean' ? truth : undefined;
  }
  if (issue.code !== 'invalid_value') return undefined;
  return [number, truth].find((value) => value !== undefined && issue.values.includes(value));
}

function report(section: Section<z.ZodObject>, issues: readonly FlatIssue[], findings: Findings): void {
  const misspelt = new Set<string>();
  for (const flat of issues) {
    if (flat.kind === 'unknown') reportUnknown(section, flat, misspelt, findings);
  }
  for (const flat of issues) {
    if (flat.kind === 'unknown') continue;
    const node = nodeAt(section.root, flat.path);
    if (flat.kind === 'value' && !node) reportMissing(section, flat, misspelt, findings);
    else if (!brokenAt(node, flat)) reportValue(section, flat, node!, findings);
  }
}

/** A value that could not be filled in is reported already; so is what only follows from it. */
function brokenAt(node: Located | undefined, flat: FlatIssue): boolean {
  if (node?.kind === 'scalar') return node.filled?.broken === true;
  return flat.issue.code === 'custom' && node !== undefined && hasBroken(node);
}

function hasBroken(node: Located): boolean {
  if (node.kind === 'scalar') return node.filled?.broken === true;
  const inner = node.kind === 'list' ? node.items : [...node.entries.values()].map((entry) => entry.value);
  return inner.some(hasBroken);
}

function reportUnknown(
  section: Section<z.ZodObject>,
  flat: FlatIssue,
  misspelt: Set<string>,
  findings: Findings,
): void {
  const { root, prefix, declared } = section;
  const parent = flat.path.slice(0, -1);
  const key = flat.key!;
  const at = keyAt(root, flat.path) ?? placeAt(root, parent);
  const path = [...prefix, ...flat.path];
  const message = `unknown option ${quote(key)}`;
  if (findings.full) {
    findings.add({ at, path, message });
    return;
  }
  const special = section.aboutUnknown?.(flat.path);
  if (special) {
    findings.add({ at, path, ...special });
    return;
  }
  const extra = parent.length === 0 ? (section.alsoValid ?? []) : [];
  const names = [...declared.at(parent).names, ...extra];
  const around = nodeAt(root, parent);
  const free = names.filter((name) => around?.kind !== 'map' || !around.entries.has(name));
  const near = nearest(key, free);
  const taken = near === undefined ? nearest(key, names) : undefined;
  if (near !== undefined) misspelt.add(pathText([...parent, near]));
  findings.add({
    at,
    path,
    message,
    hint: didYouMean(key, free) ?? (taken === undefined ? validHere(names) : alreadyThere(taken)),
  });
}

function alreadyThere(name: string): string {
  return `did you mean ${JSON.stringify(name)}? That is given already`;
}

function validHere(names: readonly string[]): string {
  if (names.length === 0) return 'no options are valid here';
  return `valid here: ${names.map((name) => JSON.stringify(name)).join(', ')}`;
}

function near(text: string, candidates: readonly string[] | undefined): string | undefined {
  return candidates && didYouMean(text, candidates);
}

function reportMissing(
  section: Section<z.ZodObject>,
  flat: FlatIssue,
  misspelt: ReadonlySet<string>,
  findings: Findings,
): void {
  if (misspelt.has(pathText(flat.path))) return;
  const { root, prefix, declared } = section;
  const name = String(flat.path.at(-1));
  const own = flat.issue.message === noMessage ? undefined : flat.issue.message;
  findings.add({
    at: startOf(placeAt(root, flat.path)),
    path: [...prefix, ...flat.path],
    message: own ?? `the option ${quote(name)} is missing`,
    hint: declared.at(flat.path).about(name),
  });
}

/** A missing option is shown where the options begin, not under all of them. */
export function startOf(place: {
  file: Located['place']['file'];
  start: number;
  end: number;
}): Located['place'] {
  const end = place.file.text.indexOf('\n', place.start);
  return { ...place, end: Math.min(place.end, end === -1 ? place.end : end) };
}

function reportValue(
  section: Section<z.ZodObject>,
  flat: FlatIssue,
  node: Located,
  findings: Findings,
): void {
  const { root, prefix, declared } = section;
  const secret = declared.at(flat.path).secret || secretInside(node, declared.at(flat.path));
  const worded = wordIssue(flat, node, secret, declared.at(flat.path));
  const at = flat.kind === 'key' ? (keyAt(root, flat.path) ?? node.place) : startOf(node.place);
  const name = String(flat.path.at(-1) ?? '');
  const missing = node.kind === 'scalar' && node.value === null;
  const hint =
    worded.hint ??
    (missing ? declared.at(flat.path).about(name) : undefined) ??
    (node.kind === 'scalar' && !secret
      ? near(String(node.value), section.candidates?.(flat.path))
      : undefined);
  findings.add({ at, path: [...prefix, ...flat.path], message: worded.message, hint });
}

function secretInside(node: Located, declared: Declared): boolean {
  if (declared.secret) return true;
  if (node.kind === 'list')
    return node.items.some((item, index) => secretInside(item, declared.child(index)));
  if (node.kind !== 'map') return false;
  return [...node.entries].some(([key, entry]) => secretInside(entry.value, declared.child(key)));
}
