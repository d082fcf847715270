const mebibyte = 1024 * 1024;

/** What Amazon's service allows in one upload. */
export const mostParts = 10_000;
/** Bytes; only the last part may be smaller. */
export const smallestPart: number = 5 * mebibyte;
/** Bytes. */
export const largestPart: number = 5 * 1024 * mebibyte;
