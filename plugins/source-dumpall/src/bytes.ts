/** Kinds of bytes in SQL, in every encoding that a server can have. */
export function isSpace(byte: number): boolean {
  return byte === 32 || (byte >= 9 && byte <= 13);
}

export function startsWord(byte: number): boolean {
  return (byte >= 97 && byte <= 122) || (byte >= 65 && byte <= 90) || byte === 95 || byte >= 128;
}

export function inTag(byte: number): boolean {
  return startsWord(byte) || (byte >= 48 && byte <= 57);
}

export function inWord(byte: number): boolean {
  return inTag(byte) || byte === 36;
}
