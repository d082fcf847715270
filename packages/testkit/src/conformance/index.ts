/**
 * The promises of the contracts as checks that run anywhere: `runChecks(sinkChecks, factory, testContext())`.
 */
export { runCheck, runChecks } from './check.ts';
export type { Check, CheckOutcome, Waivable } from './check.ts';
export { heldBytes, mustHaveClosed, openResources } from './resources.ts';
export type { OpenResources } from './resources.ts';
export { sinkChecks } from './sink.ts';
export type { SinkCheck, SinkFactory, SinkSubject } from './sink-subject.ts';
export { sourceChecks } from './source.ts';
export type { SourceCheck, SourceFactory, SourceSubject } from './source-subject.ts';
export { transformChecks } from './transform.ts';
export type { TransformCheck, TransformFactory, TransformSubject } from './transform-subject.ts';
