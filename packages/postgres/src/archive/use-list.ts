/**
 * A list for `pg_restore --use-list`: these entries, in this order, and no other.
 * pg_restore reads the number at a line's start; names are left out, because a name may hold a newline.
 */
export function useList(dumpIds: Iterable<number>): string {
  let text = '';
  for (const dumpId of dumpIds) text += `${dumpId};\n`;
  return text;
}
