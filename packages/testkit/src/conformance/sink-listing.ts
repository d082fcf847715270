import { bodyOf, collect } from '../bodies.ts';
import { broken, mustEqual, within } from './check.ts';
import { mustHaveClosed, openResources } from './resources.ts';
import { keysUnder, sinkCheck } from './sink-subject.ts';
import type { SinkCheck, SinkUnderCheck } from './sink-subject.ts';

const atOnce = 16;

async function putAll({ sink, context }: SinkUnderCheck, keys: readonly string[]): Promise<void> {
  for (let at = 0; at < keys.length; at += atOnce) {
    const some = keys.slice(at, at + atOnce);
    const puts = some.map((key) => sink.put(key, bodyOf(key), { kind: 'note' }, context));
    // None may go on storing while the others are cleared away.
    await Promise.allSettled(puts);
    await Promise.all(puts);
  }
}

/** Everything that the engine may ask for, at its worst. */
function awkwardKeys(prefix: string): string[] {
  const names = [
    '-rf',
    '--file=x',
    '.hidden',
    '..a',
    'a..b',
    'a.',
    '=',
    '=3d',
    '_',
    '0',
    'con',
    'nul.txt',
    'dot.dot/..x/y',
    'a-/-b',
  ];
  const keys = [
    ...names,
    'A-Z/20261121T020000Z-7f3a9c/manifest.json',
    'x'.repeat(200),
    'd/e/e/p/e/r/t/h/a/n/u/s/u/a/l',
  ];
  let longest = prefix;
  while (longest.length + 101 < 512) longest += `${'n'.repeat(100)}/`;
  return [...keys.map((key) => prefix + key), longest + 'k'.repeat(512 - longest.length)];
}

export const sinkListingChecks: readonly SinkCheck[] = [
  sinkCheck(
    {
      name: 'awkward keys',
      promise: 'Every key of the allowed characters, up to 512 bytes, is stored and listed as it is.',
      reason: 'Two tenants could collide, or one could not be backed up because of its name.',
    },
    async (subject) => {
      const { sink, prefix, context } = subject;
      const keys = awkwardKeys(prefix).sort();
      await putAll(subject, keys);
      mustEqual(await keysUnder(sink, prefix, context), keys, 'keys listed');
      for (const key of keys) {
        mustEqual(String(await collect(sink.get(key, undefined, context))), key, `content of ${key}`);
        mustEqual((await sink.stat(key, context)).bytes, key.length, `size of ${key}`);
      }
    },
  ),
  sinkCheck(
    {
      name: 'prefix is plain text',
      promise:
        'list finds every key that begins with the prefix, folder or not, and none else; an unknown prefix is an empty list.',
      reason: 'Backups would be missing from the catalog, or those of another tenant would be in it.',
    },
    async (subject) => {
      const { sink, prefix, context } = subject;
      const keys = ['a/b', 'a/bc', 'a/bd/e', 'a/bd/f', 'a/c', 'ab'].map((key) => prefix + key);
      await putAll(subject, keys);
      const cases: Readonly<Record<string, readonly number[]>> = {
        'a/b': [0, 1, 2, 3],
        'a/bd/': [2, 3],
        'a/bd': [2, 3],
        'a/bd/e': [2],
        'a/': [0, 1, 2, 3, 4],
        a: [0, 1, 2, 3, 4, 5],
        'a/b/': [],
        b: [],
        'no/such/': [],
      };
      for (const [text, wanted] of Object.entries(cases)) {
        mustEqual(
          await keysUnder(sink, prefix + text, context),
          wanted.map((index) => keys[index]!).sort(),
          `keys that begin with ${text}`,
        );
      }
    },
  ),
  sinkCheck(
    {
      name: 'more keys than a page',
      promise: 'list goes on after the first page and gives each key once.',
      reason: 'Retention and restore would see only the first thousand objects.',
      cost: 'heavy',
    },
    async (subject) => {
      const { sink, prefix, context, keysPerPage = 1000 } = subject;
      const keys = Array.from(
        { length: keysPerPage + 7 },
        (_, index) => `${prefix}page/${index % 7}/${index}`,
      ).sort();
      await putAll(subject, keys);
      const seen = await keysUnder(sink, `${prefix}page/`, context);
      mustEqual(seen.length, keys.length, 'number of keys listed');
      mustEqual(seen, keys, 'keys listed');
    },
  ),
  sinkCheck(
    {
      name: 'early stop of a listing',
      promise: 'A listing can be left after its first key; nothing stays open.',
      reason: 'Whoever looks for the newest backup does not read the whole bucket.',
    },
    async (subject) => {
      const { sink, prefix, context } = subject;
      await putAll(
        subject,
        Array.from({ length: 12 }, (_, index) => `${prefix}${index % 3}/${index}`),
      );
      const before = openResources();
      for (let turn = 0; turn < 3; turn += 1) {
        const listing = sink.list(prefix, context)[Symbol.asyncIterator]();
        const first = await listing.next();
        if (first.done) broken('a listing of 12 keys gave none');
        await within(5_000, 'closing a listing', Promise.resolve(listing.return?.()));
      }
      await mustHaveClosed(before, 'listings that were left early');
    },
  ),
  sinkCheck(
    {
      name: 'remove',
      promise:
        'remove takes away what it is given and nothing else; a key that is not there counts as removed.',
      reason: 'A prune that was interrupted must be able to run again.',
    },
    async (subject) => {
      const { sink, prefix, context } = subject;
      const keys = ['a/one', 'a/two', 'a/twofold', 'b/three'].map((key) => prefix + key);
      await putAll(subject, keys);
      mustEqual(
        await sink.remove([keys[0]!, keys[1]!, `${prefix}a/none`, `${prefix}none/at/all`], context),
        [],
        'objects that are kept',
      );
      mustEqual(await keysUnder(sink, prefix, context), [keys[2]!, keys[3]!].sort(), 'keys after a removal');
      mustEqual(
        await sink.remove([keys[0]!, keys[1]!], context),
        [],
        'objects that are kept at a second removal',
      );
      mustEqual(await sink.remove([], context), [], 'objects that are kept when nothing is removed');
      mustEqual(
        String(await collect(sink.get(keys[2]!, undefined, context))),
        keys[2],
        'content of what was not removed',
      );
      await sink.put(keys[0]!, bodyOf('anew'), { kind: 'note' }, context);
      mustEqual(
        String(await collect(sink.get(keys[0]!, undefined, context))),
        'anew',
        'content after removal and a new put',
      );
    },
  ),
];
