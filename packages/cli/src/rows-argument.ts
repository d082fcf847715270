import { PgsiloError, type RowSelection } from '@pgsilo/plugin';

const part = /(?:"(?:[^"]|"")+"|[^\s".]+)/.source;
const form = new RegExp(`^\\s*(${part}(?:\\.${part})?)\\s+where\\s+(\\S[\\s\\S]*)$`, 'i');

/** `accounts where tenant_id = 'abc'`; what follows the word is SQL, and not looked at here. Throws `usage.invalid`. */
export function parseRows(text: string): RowSelection {
  const [, table, where] = form.exec(text) ?? [];
  if (table !== undefined && where !== undefined) return { table, where };
  throw new PgsiloError(
    'usage.invalid',
    `--rows ${JSON.stringify(text)} is not of the form "table where condition"`,
    {
      hint: `Write --rows "accounts where id = 7"; for all rows of a table: --table accounts --data-only.`,
    },
  );
}
