import type { z } from 'zod';
import { PgsiloError, type ArtifactView, type BackupView, type Body } from '@pgsilo/plugin';
import { databaseSettingsSchema, type DatabaseSettings } from './database-settings.ts';
import { fingerprintSchema, type Fingerprint } from './fingerprint.ts';
import { showName } from './quoting.ts';

/** A fingerprint of 100,000 tables has 20 MB; more than this is no artifact of ours. */
const mostBytes = 256 * 2 ** 20;

/** An artifact of the backup. Throws `source.archive-invalid` when the backup has none of this name. */
export function artifactOf(backup: BackupView, name: string): ArtifactView {
  const found = findArtifact(backup, name);
  if (found) return found;
  throw new PgsiloError(
    'source.archive-invalid',
    `backup ${backup.id} of ${showName(backup.unit.name)} has no ${name}`,
  );
}

export function findArtifact(backup: BackupView, name: string): ArtifactView | undefined {
  return backup.artifacts.find((artifact) => artifact.name === name);
}

export function readSettings(backup: BackupView): Promise<DatabaseSettings> {
  return readJson(artifactOf(backup, 'settings.json'), databaseSettingsSchema);
}

/** Undefined: the pipeline takes none (`fingerprint: none`). */
export async function readFingerprint(backup: BackupView): Promise<Fingerprint | undefined> {
  const artifact = findArtifact(backup, 'fingerprint.json');
  return artifact && (await readJson(artifact, fingerprintSchema));
}

/** All bytes of a small artifact; the body's end has proved them whole. */
export async function readBytes(artifact: ArtifactView): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of artifact.open() as Body) {
    bytes += chunk.byteLength;
    if (bytes > mostBytes)
      throw new PgsiloError('source.archive-invalid', `${artifact.name} has more than ${mostBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes);
}

async function readJson<T>(artifact: ArtifactView, schema: z.ZodType<T>): Promise<T> {
  const bytes = await readBytes(artifact);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new PgsiloError('source.archive-invalid', `${artifact.name} of the backup is no JSON`, {
      cause: error,
    });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const where = parsed.error.issues[0];
  throw new PgsiloError(
    'source.archive-invalid',
    `${artifact.name} of the backup is not understood: ${where?.path.join('.')}: ${where?.message}`,
    {
      cause: parsed.error,
      hint: 'It may have been written by a later pgsilo: upgrade.',
    },
  );
}
