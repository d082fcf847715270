import { sinkConductChecks } from './sink-conduct.ts';
import { sinkListingChecks } from './sink-listing.ts';
import { sinkReadingChecks } from './sink-reading.ts';
import { sinkRivalChecks } from './sink-rivals.ts';
import type { SinkCheck } from './sink-subject.ts';
import { sinkUnfinishedChecks } from './sink-unfinished.ts';
import { sinkWritingChecks } from './sink-writing.ts';

/** Every promise of the `Sink` contract. Each check makes its own sink and clears away what it stored. */
export const sinkChecks: readonly SinkCheck[] = [
  ...sinkWritingChecks,
  ...sinkRivalChecks,
  ...sinkUnfinishedChecks,
  ...sinkReadingChecks,
  ...sinkListingChecks,
  ...sinkConductChecks,
];
