import { describe, expect, test } from 'vitest';
import { makeProject } from './project.ts';

const bomb = Array.from({ length: 12 }, (_, level) => {
  const items = level === 0 ? 'x' : Array.from({ length: 10 }, () => `*a${level - 1}`).join(', ');
  return `x-${level}: &a${level} [${items}]`;
}).join('\n');

const mergeBomb = `x-0: &m0 { ${Array.from({ length: 500 }, (_, index) => `k${index}: 1`).join(', ')} }\n${Array.from(
  { length: 400 },
  (_, index) => `x-${index + 1}: { <<: *m0 }`,
).join('\n')}`;

/** Text and what is said of it. None may take long, use much memory, or end in anything but a mistake. */
const cases: Readonly<Record<string, readonly [string, RegExp]>> = {
  'aliases to aliases': [bomb, /more than 100000 values/],
  'merges of merges': [mergeBomb, /more than 100000 values/],
  'deep lists': ['a: ' + '['.repeat(100_000), /nested too deeply/],
  'deep lists that are closed': ['a: ' + '['.repeat(300) + ']'.repeat(300), /nested more than 50 levels/],
  'deep blocks': ['- '.repeat(100_000), /nested (?:too deeply|more than)/],
  'many keys': [
    Array.from({ length: 90_000 }, (_, index) => `k${index}:`).join('\n'),
    /unknown option "k99"/,
  ],
  'many aliases': [`a: &a 1\nb:\n${' - *a\n'.repeat(90_000)}`, /unknown option/],
  'many errors': ['a: [}\n'.repeat(20_000), /is not closed/],
  'many documents': ['---\n'.repeat(200_000), /second document/],
  'one long line': [`pipeline: "${'://a:'.repeat(180_000)}"`, /expected a name/],
  'one long name': [`${'key-'.repeat(200_000)}: 1`, /./],
  'one long text': [`pipeline: "${'a'.repeat(900_000)}"`, /expected a name/],
  'more than a megabyte': [`# ${'x'.repeat(1_100_000)}`, /larger than 1048576 bytes/],
  'many placeholders': [`pipeline: ${'${env:X}'.repeat(100_000)}`, /X is not set/],
  'open placeholders': [`pipeline: ${'${'.repeat(200_000)}`, /no closing/],
  'control of the terminal': [
    '"\\e[31mred\\u202E": "\\e]0;title\\a"',
    /unknown option "\uFFFD\[31mred\uFFFD"/,
  ],
  'names of Object': ['{ constructor: 1, toString: 2, hasOwnProperty: 3 }', /unknown option "constructor"/],
};

describe('a hostile file', () => {
  for (const [name, [text, expected]] of Object.entries(cases)) {
    test(`with ${name} ends in a mistake`, { timeout: 10_000 }, async () => {
      const project = await makeProject();
      const said = await project.mistakes(text);
      expect(said).toMatch(expected);
      expect(said).not.toContain('\u001B');
      expect(said.length).toBeLessThan(100_000);
    });
  }
});
