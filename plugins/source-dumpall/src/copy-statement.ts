import { invalidDump } from './errors.ts';

const part = String.raw`(?:[a-z_\x80-\xff][a-z0-9_$\x80-\xff]*|"(?:[^"]|"")+")`;
const form = new RegExp(
  String.raw`^COPY (?:${part}\.)?${part} {1,2}(?:\(${part}(?:, ${part})*\) )?FROM stdin;$`,
);

/** Whether rows follow the statement. Throws for a COPY of another form than pg_dump's, which could make psql read on where this reader does not. */
export function isCopy(statement: Buffer): boolean {
  if (!/^copy\b/i.test(statement.toString('latin1', 0, 5))) return false;
  if (form.test(statement.toString('latin1'))) return true;
  throw invalidDump('there is a COPY that is none of pg_dump');
}

/** The rows begin on the next line. */
export function requireRowsFollow(data: Buffer, at: number): void {
  if (data[at] !== 10)
    throw invalidDump('something stands behind a COPY on its line, and pg_dump puts nothing there');
}
