import { createHash } from 'node:crypto';

/**
 * A unit's name is hostile input. Lower-case letters, digits, `-`, `.` and `_` stand for themselves, every other byte of its UTF-8 is `=` and two hex digits.
 * Upper case is encoded too, because `Acme` and `acme` are one name on a case-insensitive file system. What Windows or a shell would read a meaning into at a name's
 * beginning or end is encoded as well. A long name keeps its beginning and ends in `==` and a hash.
 */
const plain = /^[a-z0-9._-]$/;
const notFirst = /^[._-]$/;
const reserved = /^(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)/;
const longestEncoded = 120;
const keptOfLong = 80;

/**
 * A unit's name as a segment of a key or a folder's name: injective, safe on case-insensitive file systems and in URLs, at most 120 characters.
 * One encoding for all (docs/format.md), so that a person finds a unit under the same name wherever it is kept.
 */
export function encodeUnit(name: string): string {
  if (name.startsWith('@')) return `_${encodeName(name.slice(1))}`;
  return encodeName(name);
}

function encodeName(name: string): string {
  const bytes = [...Buffer.from(name, 'utf8')];
  const parts = bytes.map((byte) => {
    const character = String.fromCharCode(byte);
    return plain.test(character) ? character : escapeByte(byte);
  });
  if (parts.length > 0 && (notFirst.test(parts[0]!) || reserved.test(name))) parts[0] = escapeByte(bytes[0]!);
  if (parts.at(-1) === '.') parts[parts.length - 1] = escapeByte(0x2e);
  const encoded = parts.join('');
  if (encoded.length <= longestEncoded) return encoded;
  let kept = '';
  for (const part of parts) {
    if (kept.length + part.length > keptOfLong) break;
    kept += part;
  }
  return `${kept}==${createHash('sha256').update(name).digest('hex').slice(0, 32)}`;
}

function escapeByte(byte: number): string {
  return `=${byte.toString(16).padStart(2, '0')}`;
}
