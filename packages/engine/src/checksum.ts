import { createHash } from 'node:crypto';
import { PgsiloError } from '@pgsilo/plugin';

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

/** The document in sealed bytes. Throws `catalog.corrupt` when they are not what was written; `what` names the object. */
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
  return JSON.parse(text);
}
