import { transformFaithfulChecks } from './transform-faithful.ts';
import { transformFlowChecks } from './transform-flow.ts';
import { transformStrictChecks } from './transform-strict.ts';
import type { TransformCheck } from './transform-subject.ts';

/** Every law of the `Transform` contract. Each check makes its own transform. */
export const transformChecks: readonly TransformCheck[] = [
  ...transformFaithfulChecks,
  ...transformStrictChecks,
  ...transformFlowChecks,
];
