import { expect, test } from 'vitest';
import type { TocEntry } from '@pgsilo/postgres';
import { Groups } from '../src/groups.ts';
import { LargeObjectGroups } from '../src/large-object-groups.ts';
import type { Schema } from '../src/schemas.ts';
import { databaseUnit } from '../src/units.ts';

const schema = (oid: number, name: string): [string, Schema] => [
  name,
  { oid, name, ofExtension: false, tables: 1 },
];
const schemas = new Map([schema(1, 'acme'), schema(2, 'globex'), schema(3, 'left'), schema(4, 'public')]);
const unitOf = (name: string) => ({ name, labels: {}, origin: { database: 'app', schema: name } });
const units = [unitOf('acme'), unitOf('public'), databaseUnit('app')];
const groups = new Groups(units, schemas, new Set(['globex']));

function entry(desc: string, more: Partial<TocEntry> = {}): TocEntry {
  return {
    dumpId: 1, catalogTableOid: 0, catalogOid: 0, tag: 'tag', desc, section: 'pre-data', definition: '', dropStatement: '', copyStatement: '',
    namespace: undefined, tablespace: undefined, tableAccessMethod: undefined, relkind: undefined, owner: 'app', dependencies: [], hasData: false, ...more,
  }; // prettier-ignore
}

test('each entry goes to its unit, to the database, or nowhere', () => {
  expect(groups.names).toEqual(['@database', 'schema acme', 'schema public']);
  expect(groups.groupOf('acme', entry('TABLE DATA'))).toBe('schema acme');
  expect(groups.groupOf('globex', entry('TABLE'))).toBe(undefined);
  expect(groups.groupOf(undefined, entry('EXTENSION'))).toBe('@database');
  expect(groups.groupOf('left', entry('TABLE'))).toBe('@database');
  expect(groups.placeOf(groups.groupOf('left', entry('TABLE DATA'))!)).toMatchObject({
    unit: { name: '@database' },
    name: 'rows-3.dump',
  });
});

test("an archive of a tenant with another schema's entry is refused, and so is one of the database with a tenant's", () => {
  const { check } = groups.placeOf('schema acme');
  check(entry('TABLE', { namespace: 'acme' }));
  check(entry('SCHEMA', { catalogOid: 1 }));
  for (const wrong of [entry('TABLE', { namespace: 'globex' }), entry('SCHEMA', { catalogOid: 2 })])
    expect(() => check(wrong)).toThrow(/is in the archive of schema acme/);
  const ofDatabase = groups.placeOf('@database').check;
  ofDatabase(entry('TABLE', { namespace: 'left' }));
  ofDatabase(entry('PUBLICATION TABLE', { namespace: 'acme' }));
  expect(() => ofDatabase(entry('TABLE', { namespace: 'acme' }))).toThrow(/of what belongs to no tenant/);
});

test('an archive without its schema is incomplete; public alone may go without saying', () => {
  const acme = groups.placeOf('schema acme');
  acme.check(entry('TABLE', { namespace: 'acme' }));
  expect(() => acme.end()).toThrow(/pg_dump left out schema acme/);
  acme.check(entry('SCHEMA', { catalogOid: 1 }));
  acme.end();
  groups.placeOf('schema public').end();
});

test('of schemas that were asked for alone, an entry of another one is refused', () => {
  const alone = new Groups([unitOf('acme')], schemas, new Set(), true);
  expect(alone.groupOf('acme', entry('TABLE'))).toBe('schema acme');
  expect(alone.groupOf(undefined, entry('DATABASE'))).toBe(undefined);
  expect(() => alone.groupOf('globex', entry('TABLE', { namespace: 'globex' }))).toThrow(
    /TABLE tag of schema globex is in the archive of other schemas, which alone were asked for/,
  );
});

test('large objects of a role go to the tenant whose schema it owns, and nowhere where that is not read', () => {
  const owners = new Map([
    ['acme role', 'acme'],
    ['globex role', 'globex'],
  ]);
  const objects = new LargeObjectGroups(units, owners);
  const batch = (dumpId: number, owner: string): TocEntry =>
    entry('BLOB METADATA', { dumpId, owner, catalogOid: 500 + dumpId });
  const about = (desc: string, dumpId: number): TocEntry => entry(desc, { dependencies: [dumpId] });
  const ofAcme = objects.groupOf(batch(11, 'acme role')) as string;
  expect(objects.placeOf(ofAcme)).toMatchObject({ unit: { name: 'acme' }, name: 'large-objects-511.dump' });
  for (const desc of ['BLOBS', 'ACL', 'COMMENT', 'SECURITY LABEL'])
    expect(objects.groupOf(about(desc, 11))).toBe(ofAcme);
  expect(objects.groupOf(batch(12, 'globex role'))).toEqual({ nowhere: true });
  expect(objects.groupOf(about('BLOBS', 12))).toEqual({ nowhere: true });
  const ofNobody = objects.groupOf(batch(13, 'somebody')) as string;
  expect(objects.placeOf(ofNobody)).toMatchObject({ unit: { name: '@database' } });
  expect(objects.groupOf(about('ACL', 99))).toBe(undefined);
  expect(objects.groupOf(entry('TABLE', { namespace: 'acme' }))).toBe(undefined);
  expect(units.map((unit) => objects.has(unit))).toEqual([true, false, true]);
  const { check } = objects.placeOf(ofAcme)!;
  expect(() => check(entry('TABLE', { namespace: 'acme' }))).toThrow(/in an archive of large objects/);
});

test('large objects whose owner is not known are refused', () => {
  const objects = new LargeObjectGroups(units, new Map());
  expect(() => objects.groupOf(entry('BLOB', { dumpId: 7 }))).toThrow(/one by one \(entry 7\)/);
  expect(() => objects.groupOf(entry('BLOBS', { tag: 'BLOBS' }))).toThrow(/are of no batch/);
});
