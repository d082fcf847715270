import { createHash } from 'node:crypto';
import { PgsiloError } from '@pgsilo/plugin';

/** The format that this version writes. It reads this one and every earlier one. */
export const currentFormat = 1;

const blank = '0'.repeat(64);
const field = /"checksum": "([0-9a-f]{64})"\n}\n$/;

/**
 * Turns a document into bytes that prove themselves: indented JSON whose last field, `checksum`, is the SHA-256 of the same bytes with that field's digits set to zeros.
 * Anyone can check it with sed and sha256sum.
 */
export function sealDocument(document: object): Uint8Array {
  const text = `${JSON.stringify({ ...document, checksum: blank }, null, 2)}\n`;
  const digest = createHash('sha256').update(text).digest('hex');
  return Buffer.from(text.slice(0, -(blank.length + 4)) + `${digest}"\n}\n`);
}

/**
 * The document in sealed bytes; `what` names the object.
 * Throws `catalog.corrupt` when they are not what was written, and `catalog.format-newer` when a later version wrote them.
 */
export function openDocument(bytes: Uint8Array, what: string): unknown {
  const text = Buffer.from(bytes).toString('utf8');
  const match = field.exec(text);
  if (!match)
    throw new PgsiloError('catalog.corrupt', `${what} is cut or altered: it does not end in its checksum`);
  const digest = createHash('sha256')
    .update(`${text.slice(0, match.index)}"checksum": "${blank}"\n}\n`)
    .digest('hex');
  if (digest !== match[1])
    throw new PgsiloError('catalog.corrupt', `${what} was altered: its checksum is wrong`);
  const document: unknown = JSON.parse(text);
  refuseLater(document, what);
  return document;
}

function refuseLater(document: unknown, what: string): void {
  const { format, pgsilo } = document as { format?: unknown; pgsilo?: unknown };
  if (typeof format !== 'number' || format <= currentFormat) return;
  const version = typeof pgsilo === 'string' ? ` (${pgsilo})` : '';
  throw new PgsiloError(
    'catalog.format-newer',
    `${what} was made by a later pgsilo${version}: it is of format ${format}, and this one reads up to ${currentFormat}`,
    { hint: 'Use the pgsilo that made it, or a later one.' },
  );
}
