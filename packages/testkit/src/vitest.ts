/* oxlint-disable vitest/valid-title, vitest/expect-expect -- the checks bring titles and assertions with them */
import { describe, test } from 'vitest';
import { checkDeadline, runCheck } from './conformance/check.ts';
import type { Check, CheckOutcome } from './conformance/check.ts';
import { sinkChecks } from './conformance/sink.ts';
import type { SinkFactory } from './conformance/sink-subject.ts';
import { sourceChecks } from './conformance/source.ts';
import type { SourceFactory } from './conformance/source-subject.ts';
import { transformChecks } from './conformance/transform.ts';
import type { TransformFactory } from './conformance/transform-subject.ts';
import { testContext } from './context.ts';

const leastNode = 24;

/** The conformance suite of sinks, one test for each promise. */
export function describeSink(name: string, factory: SinkFactory): void {
  describeChecks(`${name} keeps the promises of a sink`, sinkChecks, factory);
}

/** The conformance suite of transforms, one test for each law. */
export function describeTransform(name: string, factory: TransformFactory): void {
  describeChecks(`${name} keeps the laws of a transform`, transformChecks, factory);
}

/** The conformance suite of sources, one test for each promise. */
export function describeSource(name: string, factory: SourceFactory): void {
  describeChecks(`${name} keeps the promises of a source`, sourceChecks, factory);
}

function describeChecks<Factory>(title: string, checks: readonly Check<Factory>[], factory: Factory): void {
  mustRunHere();
  describe(title, () => {
    for (const check of checks) {
      test(check.name, { timeout: checkDeadline + 10_000 }, async ({ skip }) => {
        const context = testContext();
        try {
          const outcome = await runCheck(check, factory, context);
          if (outcome.status === 'waived') skip(outcome.message);
          if (outcome.status === 'failed') {
            throw failureOf(check, outcome);
          }
        } finally {
          await context.dispose();
        }
      });
    }
  });
}

/** Not with the subject's error as its cause: runners print all that hangs on one, and SDKs hang the whole request with its token on theirs. */
function failureOf({ promise, reason }: Check<unknown>, { message, error }: CheckOutcome): Error {
  const text = `${message}\n  promise: ${promise}\n  reason: ${reason}`;
  const failure = new Error(text);
  const frames = error instanceof Error ? /\n\s+at [\s\S]*$/.exec(error.stack ?? '')?.[0] : undefined;
  if (frames !== undefined) failure.stack = `Error: ${text}${frames}`;
  return failure;
}

/** vitest starts on older ones too, and dies of the first failure without a word about it; so this one is also printed. */
function mustRunHere(): void {
  const { node } = process.versions;
  if (Number.parseInt(node, 10) >= leastNode) return;
  const message = `pgsilo and its plugins need Node ${leastNode} or later; this is ${node}`;
  console.error(message);
  throw new Error(message);
}
