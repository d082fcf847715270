import type { TocEntry } from '../archive/index.ts';
import { hasWords, isWord, nameOf, placesOf, statements, type Token } from '../sql-tokens.ts';

/**
 * Extensions whose operator classes a constraint may need. Of indexes pg_dump says so in their dependencies, of constraints it does not: `EXCLUDE USING gist (room WITH =)`
 * and `PRIMARY KEY (room, valid WITHOUT OVERLAPS)` stand on btree_gist, and name neither it nor its class.
 *
 * A class or operator that is not PostgreSQL's own is named with its schema, unless the class is the default one: of these, those that compare scalar values come from
 * btree_gist where that is there, and from who knows which otherwise. A class for an extension's own type needs nothing: the column depends on that extension already.
 */
export function extensionsOfConstraint(
  constraint: TocEntry,
  extensions: readonly TocEntry[],
): readonly TocEntry[] {
  const elements = elementsOf(constraint);
  if (!elements) return [];
  const possible = extensions.filter((extension) => extension.tag !== 'plpgsql');
  const scalar = comparesScalars(elements);
  const likely = possible.filter((extension) => {
    const schema = schemaOfExtension(extension);
    return (
      (scalar && extension.tag === 'btree_gist') || (schema !== undefined && namesSchema(elements, schema))
    );
  });
  return scalar && likely.length === 0 ? possible : likely;
}

/** The schema that an extension is made in, which its entry names in its definition alone. */
export function schemaOfExtension(extension: TocEntry): string | undefined {
  const [statement] = statements(extension.definition);
  const at = statement && placesOf(statement, 'SCHEMA').at(-1);
  return at === undefined ? undefined : nameOf(statement![at + 1]);
}

/** What stands behind the name of a constraint whose operators need not be those of a B-tree; undefined for others. */
function elementsOf(constraint: TocEntry): readonly Token[] | undefined {
  const [statement = []] = statements(constraint.definition);
  const name = placesOf(statement, 'CONSTRAINT')[0];
  if (name === undefined) return undefined;
  const elements = statement.slice(name + 2);
  const excludes = isWord(elements[0], 'EXCLUDE');
  const spans = elements.some((_, at) => hasWords(elements, at, 'WITHOUT', 'OVERLAPS'));
  return excludes || spans ? elements : undefined;
}

/** `WITH =`, `WITH <>`, `WITH <`; a key WITHOUT OVERLAPS compares all columns but its last one. */
function comparesScalars(elements: readonly Token[]): boolean {
  return elements.some((token, at) => {
    const next = elements[at + 1];
    if (isWord(token, 'WITH')) return next?.kind === 'symbol' && '=<>'.includes(next.value);
    return isWord(token, 'WITHOUT') && isWord(next, 'OVERLAPS');
  });
}

function namesSchema(elements: readonly Token[], schema: string): boolean {
  return elements.some((token, at) => {
    const next = elements[at + 1];
    return nameOf(token) === schema && next?.kind === 'symbol' && next.value === '.';
  });
}
