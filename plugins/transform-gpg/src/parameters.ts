import { createHash } from 'node:crypto';
import type { JsonObject } from '@pgsilo/plugin';
import { z } from 'zod';
import { corrupt } from './corrupt.ts';

const fingerprint = z.string().regex(/^[0-9A-F]{40,64}$/);
const digest = z.string().regex(/^[0-9a-f]{64}$/);

/** What stands in the manifest. All of it is missing for a message that gpg wrote. */
export interface GpgParameters {
  /** Fingerprints of the keys that it is encrypted to. */
  readonly recipients?: readonly string[] | undefined;
  /** Whose key that is, when each unit has its own. */
  readonly unit?: string | undefined;
  /** Whether a passphrase opens it, too. */
  readonly passphrase?: boolean | undefined;
  /** SHA-256 of what stands before the data. Tells an altered message from one whose key is not here. */
  readonly head?: string | undefined;
  /** SHA-256 of the session key, 256 random bits: nothing follows from it. Tells a wrong passphrase from an altered message. */
  readonly sessionKey?: string | undefined;
}

const form: z.ZodType<GpgParameters> = z.strictObject({
  recipients: z.array(fingerprint).optional(),
  unit: z.string().optional(),
  passphrase: z.boolean().optional(),
  head: digest.optional(),
  sessionKey: digest.optional(),
});

export function readParameters(parameters: JsonObject): GpgParameters {
  const read = form.safeParse(parameters);
  if (!read.success)
    throw corrupt('the manifest says of them what the transform gpg never wrote', read.error);
  return read.data;
}

/** The fingerprint of the unit's key that alone opens a message with these parameters; undefined for any other message, and for what another transform wrote. */
export function unitKeyOf(parameters: JsonObject): string | undefined {
  const { success, data } = form.safeParse(parameters);
  if (!success || data.unit === undefined || data.passphrase === true) return undefined;
  const [only, ...others] = data.recipients ?? [];
  return others.length === 0 ? only : undefined;
}

export function digestOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
