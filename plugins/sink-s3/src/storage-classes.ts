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
