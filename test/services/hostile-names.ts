import pg from 'pg';
import type { TestServer } from './server.ts';

/** Same beginning for both, so that whoever cuts a name sees one. */
const long = 'x'.repeat(62);
const longLetters = 'É'.repeat(31);

/** What tenants must be able to be called, as a database and as a unit: what a shell, a path, a pattern, a URL, a program or an encoding takes for something else. */
export const hostileNames: readonly string[] = [
  'Acme',
  'acme',
  'a b',
  'a"b',
  `a'b`,
  'a\\b',
  '--file=x',
  '-h',
  'dbname=postgres',
  'service=x',
  'postgres://x',
  '../../etc',
  'ñandú',
  // The same to the eye, and to a file system that composes letters.
  'ñandú'.normalize('NFD'),
  'a/b',
  '%41cme',
  '=41cme',
  'con',
  '.',
  '..',
  'ends',
  'ends.',
  'ends ',
  'two\nlines',
  '$(touch owned)',
  '`touch owned`',
  'x; touch owned #',
  '| touch owned',
  'x\ntouch owned\n',
  '${env:HOME}',
  'a*',
  'a?',
  '💾',
  'globals',
  `${long}1`,
  `${long}2`,
  `${longLetters}1`,
  `${longLetters}2`,
];

export interface HostileTenant {
  readonly unit: string;
  readonly database: string;
}

/** Each name once as a unit and once as a database, never both of one tenant: who takes one for the other gets the wrong tenant. */
export function hostileTenants(names: readonly string[] = hostileNames): readonly HostileTenant[] {
  return names.map((unit, index) => ({ unit, database: names[(index + 1) % names.length]! }));
}

/** A registry and the tenants' databases; what each holds is called after it, and no two hold the same. */
export async function createHostileFleet(
  server: TestServer,
  tenants: readonly HostileTenant[],
): Promise<void> {
  await server.query('postgres', 'CREATE DATABASE vigia_master');
  await server.query(
    'vigia_master',
    'CREATE TABLE clientes_saas (db_name text PRIMARY KEY, subdominio text UNIQUE, plan text, is_active boolean DEFAULT true)',
  );
  for (const [index, { unit, database }] of tenants.entries()) {
    const name = pg.escapeIdentifier(database);
    await server.query('postgres', `CREATE DATABASE ${name}`);
    await server.query(
      database,
      `CREATE SCHEMA ${name};
       CREATE TABLE ${name}.${name} (id integer PRIMARY KEY, ${name} text NOT NULL);
       INSERT INTO ${name}.${name} SELECT i, ${pg.escapeLiteral(database)} || ' row ' || i FROM generate_series(1, ${20 + index}) i`,
    );
    await server.query('vigia_master', `INSERT INTO clientes_saas VALUES ($1, $2, $3)`, [
      database,
      unit,
      `plan of ${unit}`,
    ]);
  }
}
