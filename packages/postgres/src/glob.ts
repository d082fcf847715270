import { PgsiloError } from '@pgsilo/plugin';

/**
 * A matcher for names: `*` any characters, `?` one, `[abc]`, `[a-z]`, `[!abc]` one of (not of) these. Everything else means itself: `_` and `%` too.
 * Throws `config.invalid` for a bracket that does not close or holds nothing.
 */
export function glob(pattern: string): (name: string) => boolean {
  const characters = [...pattern];
  let source = '';
  for (let index = 0; index < characters.length; index += 1) {
    const character = characters[index]!;
    // Runs of stars are one: each more would multiply the ways in which a name can fail to fit.
    if (character === '*') source += characters[index - 1] === '*' ? '' : '.*';
    else if (character === '?') source += '.';
    else if (character === '[') {
      const negated = characters[index + 1] === '!' || characters[index + 1] === '^';
      const first = index + (negated ? 2 : 1);
      const end = characters.indexOf(']', first + 1);
      if (end === -1)
        throw new PgsiloError(
          'config.invalid',
          `the pattern ${JSON.stringify(pattern)} has a [ that no ] closes`,
        );
      source += `[${negated ? '^' : ''}${characters.slice(first, end).map(escapeInClass).join('')}]`;
      index = end;
    } else source += escapeLiteral(character);
  }
  let expression: RegExp;
  try {
    expression = new RegExp(`^${source}$`, 'su');
  } catch (cause) {
    throw new PgsiloError(
      'config.invalid',
      `the pattern ${JSON.stringify(pattern)} has a range that runs backwards`,
      { cause },
    );
  }
  return (name) => expression.test(name);
}

/** Whether a name fits any of the patterns. */
export function anyGlob(patterns: string | readonly string[] | undefined): (name: string) => boolean {
  const matchers = (typeof patterns === 'string' ? [patterns] : (patterns ?? [])).map(glob);
  return (name) => matchers.some((matches) => matches(name));
}

function escapeLiteral(character: string): string {
  return /[\\^$.*+?()[\]{}|/]/.test(character) ? `\\${character}` : character;
}

function escapeInClass(character: string): string {
  return /[\\\]^[]/.test(character) ? `\\${character}` : character;
}
