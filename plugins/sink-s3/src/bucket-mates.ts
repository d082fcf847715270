import type { Options } from './options.ts';

/**
 * The sinks of this process by bucket. A bucket has one set of rules, and setting it replaces all that was there: who prints the rules for one sink has to
 * know those of the others.
 */
const open = new Map<string, Set<Mate>>();

export interface Mate {
  readonly options: Options;
  /** Empty, or ends in a slash. */
  readonly prefix: string;
}

/** Says that a sink is there. @returns what takes it away again. */
export function joinBucket(mate: Mate): () => void {
  const name = bucketOf(mate.options);
  const mates = open.get(name) ?? new Set();
  open.set(name, mates.add(mate));
  return () => {
    mates.delete(mate);
    if (mates.size === 0 && open.get(name) === mates) open.delete(name);
  };
}

/** The sinks in the bucket of this one, itself among them. */
export function matesOf(mate: Mate): readonly Mate[] {
  return [...new Set([mate, ...(open.get(bucketOf(mate.options)) ?? [])])].sort((a, b) =>
    a.prefix < b.prefix ? -1 : 1,
  );
}

function bucketOf({ endpoint, bucket }: Options): string {
  return `${endpoint ?? 'aws'} ${bucket}`;
}
