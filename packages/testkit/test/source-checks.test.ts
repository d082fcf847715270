import { afterAll, describe, expect, test } from 'vitest';
import { runChecks, sourceChecks } from '../src/conformance/index.ts';
import type { SourceFactory } from '../src/conformance/index.ts';
import { testContext } from '../src/index.ts';
import { describeSource } from '../src/vitest.ts';
import { brokenSources, leaks } from './broken-sources.ts';
import { soundSource, subjectOf } from './fake-source.ts';

async function failuresOf(factory: SourceFactory): Promise<string[]> {
  const failures: string[] = [];
  const context = testContext();
  try {
    for await (const { name, status } of runChecks(sourceChecks, factory, context)) {
      if (status === 'failed') failures.push(name);
    }
  } finally {
    await context.dispose();
  }
  return failures;
}

afterAll(() => {
  for (const end of leaks) end();
});

describeSource('the sound source under the fakes', async () => subjectOf(soundSource));

describe('a source that breaks one promise fails that check and no other', () => {
  test.each(brokenSources.map((broken) => [broken.does, broken.fails, broken] as const))(
    '%s: %s',
    { timeout: 60_000 },
    async (_does, fails, broken) => {
      expect(await failuresOf(async () => subjectOf(broken.make))).toEqual([fails]);
    },
  );

  test('every check has a fake that fails it', () => {
    const proved = new Set(brokenSources.map((broken) => broken.fails));
    expect(sourceChecks.map((check) => check.name).filter((name) => !proved.has(name))).toEqual([]);
  });

  test('names are unique, and promise and reason are sentences', () => {
    expect(new Set(sourceChecks.map((check) => check.name)).size).toBe(sourceChecks.length);
    for (const { promise, reason } of sourceChecks) {
      expect(promise).toMatch(/^\S.*\.$/);
      expect(reason).toMatch(/^\S.*\.$/);
    }
  });
});

describe('a subject that cannot show a fault is refused', () => {
  test.each([
    ['holds too little to be caught at work', 'producer killed', { largest: 10 }],
    ['sees nothing that runs', 'abort of a read', { running: async () => [] }],
    ['changes nothing', 'back up, restore, same', { change: async () => {} }],
  ] as const)('%s', async (_what, fails, change) => {
    const failures = await failuresOf(async () => {
      const subject = subjectOf((server) => {
        if ('largest' in change)
          server.databases.set('acme', server.databases.get('acme')!.slice(0, change.largest));
        return soundSource(server);
      });
      return 'largest' in change ? subject : { ...subject, ...change };
    });
    expect(failures).toContain(fails);
  });
});
