import { conductFakes } from './conduct.ts';
import type { BrokenSink } from './fake.ts';
import { listingFakes } from './listing.ts';
import { readingFakes } from './reading.ts';
import { writingFakes } from './writing.ts';

export { fakeKeysPerPage, fakeLargeBytes, fakeSecret, leaks } from './fake.ts';

export const brokenSinks: readonly BrokenSink[] = [
  ...writingFakes,
  ...readingFakes,
  ...listingFakes,
  ...conductFakes,
];
