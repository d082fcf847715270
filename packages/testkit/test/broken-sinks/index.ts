import { conductFakes } from './conduct.ts';
import type { BrokenSink } from './fake.ts';
import { listingFakes } from './listing.ts';
import { partsFakes } from './parts.ts';
import { readingFakes } from './reading.ts';
import { writingFakes } from './writing.ts';

export { partsSink } from './parts-sink.ts';
export { fakeKeysPerPage, fakeLargeBytes, fakeSecret, leaks } from './fake.ts';

export const brokenSinks: readonly BrokenSink[] = [
  ...writingFakes,
  ...partsFakes,
  ...readingFakes,
  ...listingFakes,
  ...conductFakes,
];
