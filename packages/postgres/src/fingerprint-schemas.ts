import type { Context } from '@pgsilo/plugin';
import type { Fingerprint, FingerprintKind } from './fingerprint.ts';
import { countTables, fixOutput } from './fingerprint-tables.ts';
import type { Session } from './session.ts';

/**
 * The fingerprint of schemas as the server has them, for archives that are not understood: the tables whose rows pg_dump writes, counted in the session's snapshot, which its locks
 * (`lockTables`) keep true. Sequences have no value in a snapshot, and are left out.
 */
export async function takeSchemasFingerprint(
  session: Session,
  schemas: readonly string[],
  kind: FingerprintKind,
  context: Pick<Context, 'signal'>,
): Promise<Fingerprint> {
  await fixOutput(session);
  const tables = await session.query<{ schema: string; name: string }>(
    `SELECT n.nspname::text AS schema, c.relname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = ANY ($1::text[]::name[]) AND c.relkind = 'r'
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') ORDER BY 1, 2`,
    [schemas],
  );
  const counted = await countTables(session, tables, kind === 'content', context);
  return {
    format: 1,
    kind,
    tables: tables.map((table, index) => {
      const { rows, hash } = counted[index]!;
      const exact = Number(rows);
      return {
        ...table,
        rows: Number.isSafeInteger(exact) ? exact : rows,
        ...(hash === undefined ? {} : { hash }),
      };
    }),
    sequences: [],
    largeObjects: 0,
  };
}
