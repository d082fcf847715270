/** Days that an object of a class is paid for at least. All of them are read at once. */
export const leastDays = {
  STANDARD: 0,
  NEARLINE: 30,
  COLDLINE: 90,
  ARCHIVE: 365,
} as const;

export type StorageClass = keyof typeof leastDays;
