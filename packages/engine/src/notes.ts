import { PgsiloError } from '@pgsilo/plugin';
import { z } from 'zod';
import { openDocument, sealDocument } from './checksum.ts';

/** Something that became known about a backup after its commit. An event: the newest of its kind wins, none is ever changed. */
export interface Note {
  readonly kind: 'pinned' | 'unpinned' | 'verified' | 'destroyed';
  readonly unit: string;
  readonly backup: string;
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly reason?: string;
  readonly until?: string;
}

const noteSchema: z.ZodType<Note & { readonly format: 1 }> = z.object({
  format: z.literal(1),
  kind: z.enum(['pinned', 'unpinned', 'verified', 'destroyed']),
  unit: z.string(),
  backup: z.string(),
  at: z.iso.datetime(),
  reason: z.string().exactOptional(),
  until: z.iso.datetime().exactOptional(),
});

export function writeNote(note: Note): Uint8Array {
  return sealDocument(noteSchema.parse({ format: 1, ...note }));
}

export function readNote(bytes: Uint8Array, key: string): Note {
  const parsed = noteSchema.safeParse(openDocument(bytes, key));
  if (!parsed.success) throw new PgsiloError('catalog.corrupt', `${key} is no note`, { cause: parsed.error });
  return parsed.data;
}
