import { PgsiloError } from '@pgsilo/plugin';
import { z } from 'zod';
import { openDocument, sealDocument } from './checksum.ts';
import { encodeUnit } from './keys.ts';

/** Something that became known about a backup after its commit. An event: the newest of its kind wins, none is ever changed. */
export interface Note {
  readonly kind: 'pinned' | 'unpinned' | 'verified' | 'destroyed';
  readonly unit: string;
  readonly backup: string;
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly reason?: string;
  readonly until?: string;
  /** Of `verified`: how it was tried. */
  readonly level?: 'restore';
  /** Of `verified`. `unproved`: it could not be tried (an extension was missing, say), which says nothing about the backup. */
  readonly result?: 'ok' | 'failed' | 'unproved';
  /** Of `verified`: seconds that the restore took, from the first byte that was fetched until the copy was compared. */
  readonly seconds?: number;
  /** Of `verified`: code of the error that made it fail. Its message may hold what the copy holds, and is not kept. */
  readonly code?: string;
}

const noteSchema: z.ZodType<Note & { readonly format: 1 }> = z.object({
  format: z.literal(1),
  kind: z.enum(['pinned', 'unpinned', 'verified', 'destroyed']),
  unit: z.string(),
  backup: z.string(),
  at: z.iso.datetime(),
  reason: z.string().exactOptional(),
  until: z.iso.datetime().exactOptional(),
  level: z.literal('restore').exactOptional(),
  result: z.enum(['ok', 'failed', 'unproved']).exactOptional(),
  seconds: z.number().nonnegative().exactOptional(),
  code: z.string().exactOptional(),
});

export function writeNote(note: Note): Uint8Array {
  return sealDocument(noteSchema.parse({ format: 1, ...note }));
}

/** Reads a note and proves that it is whole and where it belongs; `place` is `<unit key>/<backup>`. */
export function readNote(
  bytes: Uint8Array,
  { key, place }: { readonly key: string; readonly place: string },
): Note {
  const parsed = noteSchema.safeParse(openDocument(bytes, key));
  if (!parsed.success) throw new PgsiloError('catalog.corrupt', `${key} is no note`, { cause: parsed.error });
  const { kind, unit, backup } = parsed.data;
  if (`${encodeUnit(unit)}/${backup}` !== place || !key.endsWith(`-${kind}.json`)) {
    throw new PgsiloError(
      'catalog.corrupt',
      `${key} is another note: ${JSON.stringify(unit)} ${backup} ${kind}`,
    );
  }
  return parsed.data;
}
