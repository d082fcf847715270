import { describe, expect, test } from 'vitest';
import type { Transform, TransformTraits } from '@pgsilo/plugin';
import { runChecks, transformChecks } from '../src/conformance/index.ts';
import { testContext } from '../src/index.ts';
import { describeTransform } from '../src/vitest.ts';
import { brokenTransforms, fakeLargeBytes, fakeSeveralBlocks, soundTransform } from './broken-transforms.ts';

const traits: TransformTraits = { purpose: 'compression' };

async function failuresOf(transform: Transform): Promise<string[]> {
  const failures: string[] = [];
  const subject = { transform, traits, largeBytes: fakeLargeBytes, severalBlocks: fakeSeveralBlocks };
  const context = testContext();
  try {
    for await (const { name, status } of runChecks(transformChecks, async () => subject, context)) {
      if (status === 'failed') failures.push(name);
    }
  } finally {
    await context.dispose();
  }
  return failures;
}

describeTransform('the sound transform under the fakes', async () => ({
  transform: soundTransform(),
  traits,
  largeBytes: fakeLargeBytes,
  severalBlocks: fakeSeveralBlocks,
}));

describe('a transform that breaks one law fails that check and no other', () => {
  test.each(brokenTransforms.map((broken) => [broken.does, broken.fails, broken] as const))(
    '%s: %s',
    { timeout: 120_000 },
    async (_does, fails, broken) => {
      expect(await failuresOf(broken.transform)).toEqual([fails]);
    },
  );

  test('every check has a fake that fails it', () => {
    const proved = new Set(brokenTransforms.map((broken) => broken.fails));
    expect(transformChecks.map((check) => check.name).filter((name) => !proved.has(name))).toEqual([]);
  });
});
