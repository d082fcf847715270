import { z } from 'zod';
import { plural } from './plural.ts';

/** How much a fingerprint says of each table: the exact count of its rows, or a hash of their contents too. */
export type FingerprintKind = 'counts' | 'content';

/** Counts beyond what a JSON number holds exactly are written as text. */
const count = z.union([z.int().nonnegative(), z.string().regex(/^\d+$/)]);

const table = z.strictObject({
  schema: z.string().min(1),
  name: z.string().min(1),
  rows: count,
  /** Two sums of 64-bit halves of row hashes, see `table-hash.ts`. */
  hash: z
    .string()
    .regex(/^md5-sum:-?\d+:-?\d+$/)
    .optional(),
  /** The extension's condition under which rows of its configuration table belong to the database and not to the extension. */
  condition: z.string().optional(),
});

const sequence = z.strictObject({
  schema: z.string().min(1),
  name: z.string().min(1),
  lastValue: z.string().regex(/^-?\d+$/),
  isCalled: z.boolean(),
});

/**
 * What a database held at a backup's snapshot: each table whose rows the archive holds, each sequence, the number of large objects.
 * Stored as the artifact `fingerprint.json`.
 */
export const fingerprintSchema: z.ZodType<Fingerprint> = z.strictObject({
  format: z.literal(1),
  kind: z.enum(['counts', 'content']),
  tables: z.array(table),
  sequences: z.array(sequence),
  largeObjects: z.int().nonnegative(),
});

export interface Fingerprint {
  readonly format: 1;
  readonly kind: FingerprintKind;
  readonly tables: readonly TableFingerprint[];
  readonly sequences: readonly SequenceFingerprint[];
  readonly largeObjects: number;
}

export interface TableFingerprint {
  readonly schema: string;
  readonly name: string;
  readonly rows: number | string;
  readonly hash?: string | undefined;
  readonly condition?: string | undefined;
}

export interface SequenceFingerprint {
  readonly schema: string;
  readonly name: string;
  readonly lastValue: string;
  readonly isCalled: boolean;
}

/** `14 tables, 2,310,442 rows, 3 sequences`: what was compared, for people. */
export function describeFingerprint(fingerprint: Fingerprint): string {
  const rows = fingerprint.tables.reduce((sum, each) => sum + BigInt(each.rows), 0n);
  const parts = [
    plural(fingerprint.tables.length, 'table'),
    plural(rows, 'row'),
    plural(fingerprint.sequences.length, 'sequence'),
  ];
  if (fingerprint.largeObjects > 0) parts.push(plural(fingerprint.largeObjects, 'large object'));
  return parts.join(', ') + (fingerprint.kind === 'content' ? ', with their contents' : '');
}
