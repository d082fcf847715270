import { distance } from 'fastest-levenshtein';

const longestName = 80;

/** How people write the same name: `storage_class`, `storage-class`, `storageClass`. */
function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[-_\s]/g, '');
}

/** Edits between two names; two letters that changed places count as one. */
function likeness(name: string, candidate: string): number {
  const edits = distance(name, candidate);
  return edits === 2 && sorted(name) === sorted(candidate) ? 1 : edits;
}

function sorted(name: string): string {
  return [...name].sort().join('');
}

/** The candidate that a person most likely meant, or undefined when none is near. */
export function nearest(
  name: string,
  candidates: Iterable<string>,
  tolerance: number = 0.34,
): string | undefined {
  if (name.length === 0 || name.length > longestName) return undefined;
  let best: string | undefined;
  let bestDistance = Infinity;
  for (const candidate of candidates) {
    if (candidate.length > longestName) continue;
    const far = likeness(plain(name), plain(candidate));
    const allowed = Math.max(1, Math.floor(Math.max(name.length, candidate.length) * tolerance));
    // One letter of two is no likeness.
    if (far <= allowed && far < Math.min(name.length, candidate.length) && far < bestDistance) {
      best = candidate;
      bestDistance = far;
    }
  }
  return best;
}

/** `did you mean "x"?` as the `hint` of a mistake, or nothing. */
export function didYouMean(name: string, candidates: Iterable<string>): string | undefined {
  const near = nearest(name, candidates);
  return near === undefined ? undefined : `did you mean ${JSON.stringify(near)}?`;
}
