import type { TocEntry } from '../archive/index.ts';
import { extensionsOfConstraint, schemaOfExtension } from './operator-classes.ts';
import { findTables, isTable, showTable } from './table-names.ts';

export interface TableSelection {
  /** In the archive's order. */
  readonly entries: readonly TocEntry[];
  /** What a person should know: foreign keys left out, tables that come without rows. */
  readonly warnings: readonly string[];
}

/** Kinds of entries that are part of a table, and come with it when all that they need comes too. */
const partsOfTable = new Set([
  'TABLE DATA', 'DEFAULT', 'CONSTRAINT', 'CHECK CONSTRAINT', 'INDEX', 'TRIGGER', 'RULE', 'POLICY', 'ROW SECURITY', 'STATISTICS',
]); // prettier-ignore

/** Kinds that join two things, and come when both do. */
const links = new Set([
  'TABLE ATTACH',
  'INDEX ATTACH',
  'FK CONSTRAINT',
  'SEQUENCE OWNED BY',
  'SEQUENCE SET',
  'COMMENT',
  'ACL',
  'SECURITY LABEL',
]);

/**
 * The entries of these tables and of what they need: partitions of a partitioned table; indexes, constraints, defaults, triggers, policies; the
 * sequences, types, functions, extensions and schemas that those depend on, at any depth.
 * Foreign keys to tables that are not chosen are left out and named. Throws `restore.no-match`.
 */
export function selectTables(all: readonly TocEntry[], names: readonly string[]): TableSelection {
  const archive = indexArchive(all);
  const chosen = withPartitions(archive, findTables(all, names));
  const selected = new Set<number>();

  const add = (entry: TocEntry): void => {
    if (selected.has(entry.dumpId)) return;
    selected.add(entry.dumpId);
    const within = entry.desc === 'EXTENSION' ? schemaOfExtension(entry) : entry.namespace;
    const schema = within === undefined ? undefined : archive.schemas.get(within);
    if (schema) add(schema);
    for (const id of entry.dependencies) {
      const needed = archive.byId.get(id);
      if (needed && isNeeded(archive, entry, needed)) add(needed);
    }
    if (entry.desc === 'CONSTRAINT') extensionsOfConstraint(entry, archive.extensions).forEach(add);
  };
  for (const table of chosen) {
    add(table);
    for (const part of archive.dependents.get(table.dumpId) ?? []) {
      if (partsOfTable.has(part.desc) && isOf(part, table)) add(part);
      // Identity sequences, and those of serial columns.
      if (part.desc === 'SEQUENCE') add(part);
    }
  }
  // A link may bring nothing new, so that one round over them in the archive's order is enough; an ACL may depend on another ACL before it.
  for (const entry of all) {
    const { dependencies } = entry;
    if (
      links.has(entry.desc) &&
      dependencies.length > 0 &&
      dependencies.every((id) => selected.has(id) || !archive.byId.has(id))
    ) {
      if (dependencies.some((id) => selected.has(id))) selected.add(entry.dumpId);
    }
  }
  return {
    entries: all.filter((entry) => selected.has(entry.dumpId)),
    warnings: warningsOf(archive, chosen, selected),
  };
}

interface Archive {
  readonly all: readonly TocEntry[];
  readonly byId: ReadonlyMap<number, TocEntry>;
  readonly schemas: ReadonlyMap<string, TocEntry>;
  readonly extensions: readonly TocEntry[];
  /** Entries that name this one among their dependencies. */
  readonly dependents: ReadonlyMap<number, readonly TocEntry[]>;
  /** Partition → the table that it is attached to. */
  readonly parents: ReadonlyMap<number, number>;
}

function indexArchive(all: readonly TocEntry[]): Archive {
  const dependents = new Map<number, TocEntry[]>();
  for (const entry of all) {
    for (const id of new Set(entry.dependencies)) {
      const list = dependents.get(id);
      if (list) list.push(entry);
      else dependents.set(id, [entry]);
    }
  }
  const byId = new Map(all.map((entry) => [entry.dumpId, entry]));
  const parents = new Map<number, number>();
  for (const attach of all) {
    if (attach.desc !== 'TABLE ATTACH') continue;
    const tables = attach.dependencies.flatMap((id) => byId.get(id) ?? []).filter(isTable);
    const partition = tables.find(
      (table) => table.tag === attach.tag && table.namespace === attach.namespace,
    );
    const parent = tables.find((table) => table !== partition);
    if (partition && parent) parents.set(partition.dumpId, parent.dumpId);
  }
  const schemas = new Map(all.filter((entry) => entry.desc === 'SCHEMA').map((entry) => [entry.tag, entry]));
  const extensions = all.filter((entry) => entry.desc === 'EXTENSION');
  return { all, byId, schemas, extensions, dependents, parents };
}

function withPartitions(archive: Archive, tables: readonly TocEntry[]): readonly TocEntry[] {
  const chosen = new Set(tables.map((table) => table.dumpId));
  for (let before = 0; before !== chosen.size;) {
    before = chosen.size;
    for (const [partition, parent] of archive.parents) if (chosen.has(parent)) chosen.add(partition);
  }
  return archive.all.filter((entry) => chosen.has(entry.dumpId));
}

/** A part may name another table too: a rule or policy that reads it. It belongs to the table that its own name begins with. */
function isOf(part: TocEntry, table: TocEntry): boolean {
  if (part.namespace !== table.namespace) return false;
  if (part.desc === 'TABLE DATA') return part.tag === table.tag;
  if (part.desc === 'INDEX' || part.desc === 'STATISTICS') return part.dependencies.includes(table.dumpId);
  return part.tag === table.tag || part.tag.startsWith(`${table.tag} `);
}

/**
 * Whether an entry cannot be made without another. A partition is dumped as a table of its own and attached later, and so are its indexes and
 * constraints: what they are attached to is no need of theirs.
 */
function isNeeded(archive: Archive, entry: TocEntry, needed: TocEntry): boolean {
  if (archive.parents.get(entry.dumpId) === needed.dumpId) return false;
  const isIndex = (each: TocEntry): boolean => each.desc === 'INDEX' || each.desc === 'CONSTRAINT';
  return !(isIndex(entry) && isIndex(needed));
}

function warningsOf(
  archive: Archive,
  chosen: readonly TocEntry[],
  selected: ReadonlySet<number>,
): readonly string[] {
  const ids = new Set(chosen.map((table) => table.dumpId));
  const nameOf = (table: TocEntry): string => showTable({ schema: table.namespace!, name: table.tag });
  const warnings: string[] = [];
  for (const table of chosen) {
    for (const key of archive.dependents.get(table.dumpId) ?? []) {
      if (key.desc !== 'FK CONSTRAINT' || selected.has(key.dumpId) || !isOf(key, table)) continue;
      const target = key.dependencies
        .flatMap((id) => archive.byId.get(id) ?? [])
        .find((each) => isTable(each) && each !== table);
      const name = key.tag.slice(table.tag.length + 1);
      warnings.push(
        `foreign key ${name} of ${nameOf(table)}${target ? ` to ${nameOf(target)}` : ''} is left out, because that table is not restored`,
      );
    }
  }
  const bare = archive.all.filter(
    (entry) => isTable(entry) && selected.has(entry.dumpId) && !ids.has(entry.dumpId),
  );
  for (const table of bare)
    warnings.push(`table ${nameOf(table)} comes without its rows, because others are built upon it`);
  const detached = chosen.filter(
    (table) => archive.parents.has(table.dumpId) && !ids.has(archive.parents.get(table.dumpId)!),
  );
  for (const table of detached)
    warnings.push(`table ${nameOf(table)} was a partition and comes as a table of its own`);
  return warnings;
}
