import { sourcePlanningChecks } from './source-planning.ts';
import { sourceReadingChecks } from './source-reading.ts';
import { sourceRestoringChecks } from './source-restoring.ts';
import type { SourceCheck } from './source-subject.ts';

/** Every promise of the `Source` contract. Each check makes its own source and tenant. */
export const sourceChecks: readonly SourceCheck[] = [
  ...sourcePlanningChecks,
  ...sourceReadingChecks,
  ...sourceRestoringChecks,
];
