import { listed, showName, type Session } from '@pgsilo/postgres';

/** What of a renamed schema may name it in words: PostgreSQL keeps these as they were written. */
const wordsQuery = `
  SELECT pg_describe_object('pg_proc'::regclass, p.oid, 0) AS object, concat_ws(' ', CASE WHEN p.prosqlbody IS NULL THEN p.prosrc END, array_to_string(p.proconfig, ' ')) AS words
    FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE p.pronamespace = $1 AND l.lanname NOT IN ('c', 'internal')
  UNION ALL SELECT pg_describe_object('pg_attrdef'::regclass, d.oid, 0), pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid WHERE c.relnamespace = $1
  UNION ALL SELECT pg_describe_object('pg_constraint'::regclass, k.oid, 0), pg_get_constraintdef(k.oid) FROM pg_constraint k WHERE k.connamespace = $1 AND k.contype = 'c'
  UNION ALL SELECT pg_describe_object('pg_policy'::regclass, o.oid, 0), concat_ws(' ', pg_get_expr(o.polqual, o.polrelid), pg_get_expr(o.polwithcheck, o.polrelid))
    FROM pg_policy o JOIN pg_class c ON c.oid = o.polrelid WHERE c.relnamespace = $1
  UNION ALL SELECT pg_describe_object('pg_class'::regclass, c.oid, 0), pg_get_viewdef(c.oid) FROM pg_class c WHERE c.relnamespace = $1 AND c.relkind IN ('v', 'm')
  UNION ALL SELECT pg_describe_object('pg_trigger'::regclass, t.oid, 0), pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE c.relnamespace = $1 AND NOT t.tgisinternal`;

/**
 * Objects of schema `now` whose text still has the word `before`: bodies of functions, their `SET search_path`, constants in defaults, policies and views. They are left as they are,
 * because nobody but a person knows what was meant: they may act on the live schema.
 */
export async function staleNames(session: Session, now: string, before: string): Promise<readonly string[]> {
  const rows = await session.query<{ object: string; words: string | null }>(
    wordsQuery.replaceAll('$1', '(SELECT oid FROM pg_namespace WHERE nspname = $1)').concat(' ORDER BY 1'),
    [now],
  );
  const word = wordOf(before);
  const found = rows.filter(({ words }) => words !== null && word.test(words)).map(({ object }) => object);
  if (found.length === 0) return [];
  return [
    `CAREFUL: what these say still has the word ${showName(before)}, and may act on that schema rather than on ${showName(now)}: ${listed(found)}`,
  ];
}

/** Finds the name where it does not go on, before or behind. */
function wordOf(name: string): RegExp {
  const literal = name.replaceAll(/[$()*+.?[\\\]^{|}]/g, '\\$&');
  return new RegExp(`(?<![\\p{L}\\p{N}_$])${literal}(?![\\p{L}\\p{N}_$])`, 'u');
}
