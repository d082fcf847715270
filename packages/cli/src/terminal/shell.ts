/** A word as a shell takes it literally, for commands that people copy. Control characters become `$'…'`, so that it stays one line. */
export function shellWord(word: string): string {
  if (/^[A-Za-z0-9_@%+:,./][A-Za-z0-9_@%+=:,./-]*$/.test(word)) return word;
  if (!/[\p{C}\p{Zl}\p{Zp}]/u.test(word)) return `'${word.replaceAll("'", String.raw`'\''`)}'`;
  const escaped = [...Buffer.from(word)].map((byte) => {
    const character = String.fromCharCode(byte);
    return /[A-Za-z0-9_@%+=:,./ -]/.test(character) ? character : `\\x${byte.toString(16).padStart(2, '0')}`;
  });
  return `$'${escaped.join('')}'`;
}
