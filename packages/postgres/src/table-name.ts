const part = /(?:"((?:[^"]|"")+)"|([^".]+))/y;

export interface NamePart {
  readonly name: string;
  readonly quoted: boolean;
}

/** The parts between dots, double quotes undone; undefined when the quotes are not in order or a part is empty. */
export function splitTableName(text: string): readonly NamePart[] | undefined {
  const parts: NamePart[] = [];
  let at = 0;
  for (;;) {
    part.lastIndex = at;
    const match = part.exec(text);
    if (!match) return undefined;
    const [, quoted, plain] = match;
    parts.push(
      quoted === undefined
        ? { name: plain!, quoted: false }
        : { name: quoted.replaceAll('""', '"'), quoted: true },
    );
    at = part.lastIndex;
    if (at === text.length) return parts;
    if (text[at] !== '.') return undefined;
    at += 1;
  }
}
