import { afterAll, describe, expect, test } from 'vitest';
import { runChecks, sinkChecks } from '../src/conformance/index.ts';
import type { Sink } from '@pgsilo/plugin';
import { memorySink, memorySinkTraits, testContext } from '../src/index.ts';
import {
  brokenSinks,
  fakeKeysPerPage,
  fakeLargeBytes,
  fakeSecret,
  leaks,
  partsSink,
} from './broken-sinks/index.ts';

async function failuresOf(make: () => Sink): Promise<string[]> {
  const factory = async () => ({
    sink: make(),
    traits: memorySinkTraits,
    secrets: [fakeSecret],
    largeBytes: fakeLargeBytes,
    keysPerPage: fakeKeysPerPage,
  });
  const failures: string[] = [];
  for await (const { name, status } of runChecks(sinkChecks, factory, testContext())) {
    if (status === 'failed') failures.push(name);
  }
  return failures;
}

afterAll(() => {
  for (const end of leaks) end();
});

describe('a sink that breaks one promise fails that check and no other', () => {
  test.each(brokenSinks.map((broken) => [broken.does, broken.fails, broken] as const))(
    '%s: %s',
    { timeout: 120_000 },
    async (_does, fails, broken) => {
      expect(await failuresOf(() => broken.make())).toEqual([fails]);
    },
  );

  test('the sink with parts that some of them are made of keeps all promises', async () => {
    expect(await failuresOf(() => partsSink(memorySink()))).toEqual([]);
  });

  test('every check has a fake that fails it', () => {
    const proved = new Set(brokenSinks.map((broken) => broken.fails));
    expect(sinkChecks.map((check) => check.name).filter((name) => !proved.has(name))).toEqual([]);
  });

  test('names are unique, and promise and reason are sentences', () => {
    expect(new Set(sinkChecks.map((check) => check.name)).size).toBe(sinkChecks.length);
    for (const { promise, reason } of sinkChecks) {
      expect(promise).toMatch(/^\S.*\.$/);
      expect(reason).toMatch(/^\S.*\.$/);
    }
  });
});
