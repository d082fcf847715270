import { isOfDatabase } from '../restore/roles.ts';
import { showName } from '../quoting.ts';
import { tokens, type Token } from '../sql-tokens.ts';
import type { TocEntry } from '../archive/toc.ts';

/** Kinds of entries that a dump of the schema alone does not have, or that speak of the dump rather than of the database. */
const notSchema = new Set([
  'BLOB', 'BLOB METADATA', 'BLOBS', 'ENCODING', 'MATERIALIZED VIEW DATA', 'SEARCHPATH', 'SEQUENCE SET', 'STATISTICS DATA', 'STDSTRINGS', 'TABLE DATA',
]); // prettier-ignore
/** Grants and comments on large objects, and what the installed version of an extension says of itself. */
const notOfSchema = /^LARGE OBJECT|^EXTENSION /;

/** Whether an entry of an archive says what the database is made of. Grants, comments and labels belong to no section. */
export function isSchema(entry: TocEntry): boolean {
  if (entry.section === 'data' || notSchema.has(entry.desc) || isOfDatabase(entry)) return false;
  return entry.desc === 'EXTENSION' || !notOfSchema.test(entry.tag);
}

export interface SchemaCompareOptions {
  /** Whether both were written by the same major version, so that equal objects have equal definitions. Else kinds, names and owners alone are compared. */
  readonly definitions: boolean;
  /** The archive is of this schema alone; the copy's database may have more around it. */
  readonly only?: string;
}

/**
 * Compares what two archives say of a schema, object by object: kind, name, owner, definition, in no order. @returns differences as sentences.
 *
 * Definitions are equal when their texts are. PostgreSQL does not always print an expression as it read it: it adds parentheses and casts when it reads its own output back
 * (`a = ANY (ARRAY['x'::varchar]::text[])`), a child table may get its columns and a policy its roles in another order. So texts that differ are compared once more without those.
 */
export function compareSchemas(
  archive: readonly TocEntry[],
  copy: readonly TocEntry[],
  { definitions, only }: SchemaCompareOptions,
): readonly string[] {
  const own = only === undefined ? copy : copy.filter(({ namespace }) => namespace === only);
  return compareWithin(archive, new IndexedCopy(copy), own, definitions);
}

/** What a dump of a copy says, to be looked up by object: made once where many archives are compared with parts of one copy. */
export class IndexedCopy {
  readonly there: ReadonlyMap<string, readonly TocEntry[]>;
  /** The same, whoever owns it. */
  readonly anyOwner: ReadonlyMap<string, readonly TocEntry[]>;

  constructor(copy: readonly TocEntry[]) {
    this.there = byObject(copy);
    this.anyOwner = byObject(copy, () => '');
  }
}

/**
 * The same where the copy holds more than the archive.
 * @param own what of the copy must be in the archive
 */
export function compareWithin(
  archive: readonly TocEntry[],
  { there, anyOwner }: IndexedCopy,
  own: readonly TocEntry[],
  definitions: boolean,
): readonly string[] {
  const wanted = byObject(archive);
  const wantedOwner = byObject(archive, () => '');
  const differences: string[] = [];
  for (const [key, entries] of wanted) {
    const found = there.get(key) ?? [];
    const [entry] = entries as [TocEntry];
    if (found.length < entries.length) {
      const other = anyOwner.get(objectKey(entry, ''))?.[0];
      differences.push(
        other && other.owner !== entry.owner
          ? `${describe(entry)} belongs to ${showName(other.owner)}, in the backup to ${showName(entry.owner)}`
          : `${describe(entry)} is not there`,
      );
    } else if (definitions && !sameDefinitions(entries, found))
      differences.push(`${describe(entry)} is defined otherwise`);
  }
  for (const [key, entries] of byObject(own)) {
    const [entry] = entries as [TocEntry];
    if (entries.length <= (wanted.get(key)?.length ?? 0)) continue;
    // One with another owner is told above.
    if (!wantedOwner.has(objectKey(entry, ''))) differences.push(`${describe(entry)} is not in the backup`);
  }
  return differences;
}

function byObject(
  entries: readonly TocEntry[],
  owner: (entry: TocEntry) => string = (entry) => entry.owner,
): Map<string, TocEntry[]> {
  return Map.groupBy(entries.filter(isSchema), (entry) => objectKey(entry, owner(entry)));
}

function objectKey({ desc, namespace, tag }: TocEntry, owner: string): string {
  return [desc, namespace ?? '', tag, owner].join('\0');
}

function describe({ desc, namespace, tag }: TocEntry): string {
  return `${desc} ${namespace === undefined ? '' : `${showName(namespace)}.`}${showName(tag)}`;
}

function sameDefinitions(wanted: readonly TocEntry[], found: readonly TocEntry[]): boolean {
  const texts = (entries: readonly TocEntry[], as: (entry: TocEntry) => string): string =>
    entries.map(as).sort().join('\0');
  if (texts(wanted, ({ definition }) => definition) === texts(found, ({ definition }) => definition))
    return true;
  return texts(wanted, shapeOf) === texts(found, shapeOf);
}

/** A definition without what changes when PostgreSQL reads its own output. */
function shapeOf({ desc, definition }: TocEntry): string {
  const words = withoutCasts(tokens(definition)).map(({ kind, value }) => `${kind} ${value}`);
  if (desc === 'POLICY') sortRoles(words);
  const text = words.join('\n');
  if (desc === 'ACL' || desc === 'DEFAULT ACL') return text.split('symbol ;').sort().join('');
  const inherits = desc === 'TABLE' && /\bINHERITS\b/.test(definition);
  return inherits ? text.split('symbol ,').sort().join('') : text;
}

/** A policy's roles are in the order of their numbers on the server. */
function sortRoles(words: string[]): void {
  const from = words.indexOf('word TO') + 1;
  const end = words.findIndex((word, at) => at > from && (word === 'word USING' || word === 'word WITH'));
  if (from === 0) return;
  const to = end < 0 ? words.length : end;
  words.splice(from, to - from, ...words.slice(from, to).sort());
}

const longerTypes = new Set(['varying', 'precision', 'with', 'without', 'time', 'zone']);

function withoutCasts(all: readonly Token[]): readonly Token[] {
  const kept: Token[] = [];
  const symbol = (at: number, value: string): boolean =>
    all[at]?.kind === 'symbol' && all[at].value === value;
  let at = 0;
  while (at < all.length) {
    if (symbol(at, ':') && symbol(at + 1, ':')) at = endOfType(all, at + 2, symbol);
    else {
      if (!symbol(at, '(') && !symbol(at, ')')) kept.push(all[at]!);
      at += 1;
    }
  }
  return kept;
}

function endOfType(
  all: readonly Token[],
  from: number,
  symbol: (at: number, value: string) => boolean,
): number {
  const isName = (at: number): boolean => all[at]?.kind === 'word' || all[at]?.kind === 'name';
  let at = from + 1;
  while (symbol(at, '.') && isName(at + 1)) at += 2;
  for (;;) {
    if (all[at]?.kind === 'word' && longerTypes.has(all[at]!.value.toLowerCase())) at += 1;
    else if (symbol(at, '(') && all[at + 1]?.kind === 'number') {
      while (at < all.length && !symbol(at, ')')) at += 1;
      at += 1;
    } else if (symbol(at, '[') && symbol(at + 1, ']')) at += 2;
    else return at;
  }
}

/** `schema: 37 objects`, or what it was compared by. */
export function describeComparison(archive: readonly TocEntry[], definitions: boolean): string {
  const count = archive.filter(isSchema).length;
  const how = definitions ? '' : ', by kind, name and owner alone';
  return `schema: ${count.toLocaleString('en-US')} ${count === 1 ? 'object' : 'objects'}${how}`;
}
