import { expect, test } from 'vitest';
import { EntryOwners, type TocEntry } from '../src/archive/index.ts';

let dumpIds = 0;
function entry(desc: string, more: Partial<TocEntry> = {}): TocEntry {
  dumpIds += 1;
  return {
    dumpId: dumpIds, catalogTableOid: 0, catalogOid: 0, tag: 'tag', desc, section: 'pre-data', definition: '', dropStatement: '', copyStatement: '',
    namespace: undefined, tablespace: undefined, tableAccessMethod: undefined, relkind: undefined, owner: 'app', dependencies: [], hasData: false, ...more,
  }; // prettier-ignore
}

const namespaceCatalog = 2615;
const schemas = new Map([
  [100, 'acme'],
  [101, 'globex'],
]);
const schema = (oid: number): TocEntry =>
  entry('SCHEMA', { catalogTableOid: namespaceCatalog, catalogOid: oid });

test('a schema is found by its OID, and its name in the tag means nothing', () => {
  const owners = new EntryOwners(schemas);
  expect(owners.ownerOf({ ...schema(100), tag: 'globex' })).toBe('acme');
});

test('a schema that the snapshot does not have is refused', () => {
  const owners = new EntryOwners(schemas);
  expect(() => owners.ownerOf(schema(999))).toThrow(/no schema has the OID 999/);
  expect(() => owners.ownerOf({ ...schema(100), catalogTableOid: 1259 })).toThrow(/no schema has/);
});

test('what is said about an object belongs where the object does', () => {
  const owners = new EntryOwners(schemas);
  const acme = schema(100);
  const publication = entry('PUBLICATION');
  const table = entry('TABLE', { namespace: 'globex' });
  for (const each of [acme, publication, table]) owners.ownerOf(each);
  for (const desc of ['COMMENT', 'ACL', 'SECURITY LABEL']) {
    expect(owners.ownerOf(entry(desc, { dependencies: [acme.dumpId] }))).toBe('acme');
    expect(owners.ownerOf(entry(desc, { dependencies: [table.dumpId], namespace: 'globex' }))).toBe('globex');
    expect(owners.ownerOf(entry(desc, { dependencies: [publication.dumpId] }))).toBe(undefined);
    // Of an object that is in no archive: a function of an extension.
    expect(owners.ownerOf(entry(desc, { dependencies: [77_777], namespace: 'acme' }))).toBe('acme');
  }
});

test('what acts on the whole database is the database, even where it carries a schema', () => {
  const owners = new EntryOwners(schemas);
  const table = entry('TABLE', { namespace: 'acme' });
  owners.ownerOf(table);
  for (const desc of ['PUBLICATION TABLE', 'PUBLICATION TABLES IN SCHEMA', 'EVENT TRIGGER', 'SUBSCRIPTION'])
    expect(owners.ownerOf(entry(desc, { namespace: 'acme', dependencies: [table.dumpId] }))).toBe(undefined);
});

test('casts, transforms and extensions belong to the one schema that they are made of', () => {
  const owners = new EntryOwners(schemas);
  const [one, other, extension] = [
    entry('TYPE', { namespace: 'acme' }),
    entry('TYPE', { namespace: 'globex' }),
    entry('EXTENSION'),
  ];
  for (const each of [one, other, extension]) owners.ownerOf(each);
  for (const desc of ['CAST', 'TRANSFORM', 'EXTENSION']) {
    const made = (...of: TocEntry[]): TocEntry =>
      entry(desc, { dependencies: of.map(({ dumpId }) => dumpId) });
    expect(owners.ownerOf(made(one, extension))).toBe('acme');
    expect(owners.ownerOf(made(one, other))).toBe(undefined);
    expect(owners.ownerOf(made(extension))).toBe(undefined);
  }
});

test('default privileges of a schema are its own, those of all schemas are the database', () => {
  const owners = new EntryOwners(schemas);
  expect(owners.ownerOf(entry('DEFAULT ACL', { namespace: 'acme' }))).toBe('acme');
  expect(owners.ownerOf(entry('DEFAULT ACL'))).toBe(undefined);
});

test('an entry of an unknown type, or without the schema that its type has, is refused by name', () => {
  const owners = new EntryOwners(schemas);
  for (const desc of ['PROPERTY GRAPH', 'toString'])
    expect(() => owners.ownerOf(entry(desc, { tag: 'thing', namespace: 'acme' }))).toThrow(
      new RegExp(`${desc} thing.* does not know`),
    );
  expect(() => owners.ownerOf(entry('TABLE', { tag: 'lost' }))).toThrow(/TABLE lost.*carries no schema/);
});
