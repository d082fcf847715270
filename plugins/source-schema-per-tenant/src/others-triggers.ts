import { quoteIdentifier, type Session } from '@pgsilo/postgres';

/**
 * Brings rows into a schema whose own triggers are not made yet. A partition of a table in another schema, which was restored before it, has that one's triggers from the moment it is attached:
 * they would change the rows, or do again what was done when the rows were new. They are off for `work`, within the transaction that the session is in.
 */
export async function withoutOthersTriggers(
  session: Session,
  schema: string,
  work: () => Promise<void>,
): Promise<void> {
  const triggers = await session.query<{ table: string; trigger: string; always: boolean }>(
    `SELECT c.relname::text AS "table", t.tgname::text AS trigger, t.tgenabled = 'A' AS always FROM pg_trigger t
     JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relkind = 'r' AND t.tgparentid <> 0 AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')`,
    [schema],
  );
  const set = async (how: (always: boolean) => string): Promise<void> => {
    for (const { table, trigger, always } of triggers)
      await session.query(
        `ALTER TABLE ONLY ${quoteIdentifier(schema)}.${quoteIdentifier(table)} ${how(always)} TRIGGER ${quoteIdentifier(trigger)}`,
      );
  };
  await set(() => 'DISABLE');
  await work();
  await set((always) => (always ? 'ENABLE ALWAYS' : 'ENABLE'));
}
