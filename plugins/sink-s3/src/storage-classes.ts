/** What Amazon says of its classes; those of other stores are unknown here. */
export interface StorageClassFacts {
  /** An object that is removed earlier is paid for as if it had stayed so many days. */
  readonly leastDays: number;
  /** How long its bytes are waited for at most, in the cheapest way. */
  readonly hoursToRead: number;
}

export const classes: Readonly<Record<string, StorageClassFacts>> = {
  STANDARD_IA: { leastDays: 30, hoursToRead: 0 },
  ONEZONE_IA: { leastDays: 30, hoursToRead: 0 },
  GLACIER_IR: { leastDays: 90, hoursToRead: 0 },
  GLACIER: { leastDays: 90, hoursToRead: 12 },
  DEEP_ARCHIVE: { leastDays: 180, hoursToRead: 48 },
};

/** All that Amazon has for an object: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html. Other stores have names of their own. */
const known: readonly string[] = [
  'STANDARD',
  'INTELLIGENT_TIERING',
  'REDUCED_REDUNDANCY',
  'EXPRESS_ONEZONE',
  'OUTPOSTS',
  'SNOW',
  ...Object.keys(classes),
];

export function isKnownClass(name: string): boolean {
  return known.includes(name);
}

/** The class that a person most likely meant by a name that is none; undefined when none is near. */
export function nearestClass(name: string): string | undefined {
  const [near] = known
    .map((candidate) => ({ candidate, far: edits(name, candidate) }))
    .filter(({ candidate, far }) => far <= Math.max(2, candidate.length / 4))
    .sort((a, b) => a.far - b.far);
  return near?.candidate;
}

/** Levenshtein's distance. */
function edits(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [index, letter] of [...a].entries()) {
    const next = [index + 1];
    for (let at = 1; at <= b.length; at += 1)
      next.push(Math.min(row[at]! + 1, next[at - 1]! + 1, row[at - 1]! + (letter === b[at - 1] ? 0 : 1)));
    row = next;
  }
  return row[b.length]!;
}
