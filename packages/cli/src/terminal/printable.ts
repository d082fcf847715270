/**
 * What must not reach a terminal as it is: control characters (they move the cursor, colour, set titles), format characters (bidirectional controls turn a name round,
 * zero-width ones make two names look alike), line and paragraph separators, spaces that look like another, blank letters, lone surrogates, unassigned and private ones.
 */
const unsafe = /[\p{C}\p{Zl}\p{Zp}\u034F\u115F\u1160\u17B4\u17B5\u3164\uFFA0]|(?! )\p{Zs}/gu;
const short: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/**
 * A name (of a unit, database, sink, file) as one line of visible characters, whatever it holds. Two different names never print alike:
 * a backslash is doubled, and a name that is empty or has a blank at an end stands in quotes.
 */
export function printable(name: string): string {
  const shown = name.replaceAll('\\', '\\\\').replace(unsafe, escape);
  return /^$|^[ "]|[ "]$/.test(shown) ? `"${shown}"` : shown;
}

/** Text of several lines, such as a message that quotes a server: its line ends and tabs stay, everything else that is unsafe is escaped. */
export function printableText(text: string): string {
  return text
    .replaceAll('\r\n', '\n')
    .replaceAll('\t', '    ')
    .split('\n')
    .map((line) => line.replace(unsafe, escape))
    .join('\n');
}

function escape(character: string): string {
  const code = character.codePointAt(0)!;
  return short[character] ?? (code < 0x80 ? `\\x${hex(code, 2)}` : `\\u{${hex(code, 0)}}`);
}

function hex(code: number, length: number): string {
  return code.toString(16).padStart(length, '0');
}
