import type { ArtifactFormat, JsonObject, Part } from '@pgsilo/plugin';
import { PgsiloError } from '@pgsilo/plugin';
import { z } from 'zod';
import { currentFormat, openDocument, sealDocument } from './checksum.ts';
import { artifactKeyForm, backupIdForm, encodeUnit } from './keys.ts';

export { currentFormat };

/** The commit of a backup: it exists if and only if this object does. Holds nothing secret and no row data. */
export interface Manifest {
  readonly format: typeof currentFormat;
  readonly pipeline: string;
  readonly unit: {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly origin: JsonObject;
  };
  readonly backup: string;
  readonly run: string;
  /** Labels given to the run with `--label`. */
  readonly labels: Readonly<Record<string, string>>;
  /** ISO 8601, UTC, like all times here. */
  readonly startedAt: string;
  readonly finishedAt: string;
  /** The moment whose state the backup holds. */
  readonly snapshotAt: string;
  /** Version of pgsilo that wrote it. */
  readonly pgsilo: string;
  /** The source plugin's name, as after `use:`. */
  readonly source: string;
  readonly server: { readonly version: string; readonly systemIdentifier?: string };
  /** The program that wrote the archive: `pg_dump 15.18`. */
  readonly tool: string;
  readonly status: 'good' | 'damaged';
  /** Write-ahead log position of the snapshot. */
  readonly lsn?: string;
  /** Backups of the same unit that this one cannot be restored without. */
  readonly requires: readonly string[];
  /** Databases (or schemas) within the unit, with the artifacts that are theirs alone; absent where the unit is one. */
  readonly parts?: readonly Part[];
  readonly about: JsonObject;
  readonly artifacts: readonly ManifestArtifact[];
}

export interface ManifestArtifact {
  readonly name: string;
  readonly format: ArtifactFormat;
  /** File name in the backup's folder: the name and the transforms' suffixes. */
  readonly key: string;
  /** Size and SHA-256 (hex) before transforms. */
  readonly bytes: number;
  readonly sha256: string;
  /** Size and SHA-256 (hex) of the object. */
  readonly storedBytes: number;
  readonly storedSha256: string;
  /** In the order in which they were applied. */
  readonly transforms: readonly { readonly use: string; readonly parameters: JsonObject }[];
}

const jsonObject: z.ZodType<JsonObject> = z.record(z.string(), z.json());
const digest = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.number().int().nonnegative();
const labels = z.record(z.string(), z.string());

const partSchema: z.ZodType<Part> = z.object({
  name: z.string(),
  oid: count,
  artifacts: z.array(z.string()),
});

const artifactSchema: z.ZodType<ManifestArtifact> = z.object({
  name: z.string().regex(artifactKeyForm),
  format: z.enum(['pg-custom', 'sql', 'json', 'tar']),
  key: z.string().regex(artifactKeyForm),
  bytes: count,
  sha256: digest,
  storedBytes: count,
  storedSha256: digest,
  transforms: z.array(z.object({ use: z.string(), parameters: jsonObject })),
});

const manifestSchema: z.ZodType<Manifest> = z.object({
  format: z.literal(currentFormat),
  pipeline: z.string(),
  unit: z.object({ name: z.string().min(1), labels, origin: jsonObject }),
  backup: z.string().regex(backupIdForm),
  run: z.string(),
  labels,
  startedAt: z.iso.datetime(),
  finishedAt: z.iso.datetime(),
  snapshotAt: z.iso.datetime(),
  pgsilo: z.string(),
  source: z.string(),
  server: z.object({ version: z.string(), systemIdentifier: z.string().exactOptional() }),
  tool: z.string(),
  status: z.enum(['good', 'damaged']),
  lsn: z.string().exactOptional(),
  requires: z.array(z.string()),
  parts: z.array(partSchema).exactOptional(),
  about: jsonObject,
  artifacts: z.array(artifactSchema).min(1),
});

export function writeManifest(manifest: Manifest): Uint8Array {
  return sealDocument(manifestSchema.parse(manifest));
}

/** Reads a manifest and proves that it is whole, of a format known here, and where it belongs. */
export function readManifest(
  bytes: Uint8Array,
  place: {
    readonly key: string;
    readonly pipeline: string;
    readonly unitKey: string;
    readonly backup: string;
  },
): Manifest {
  const parsed = manifestSchema.safeParse(openDocument(bytes, place.key));
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new PgsiloError(
      'catalog.corrupt',
      `${place.key} is no manifest: ${issue?.path.join('.')}: ${issue?.message}`,
      { cause: parsed.error },
    );
  }
  const { pipeline, unit, backup } = parsed.data;
  const here =
    pipeline === place.pipeline && encodeUnit(unit.name) === place.unitKey && backup === place.backup;
  if (!here) {
    throw new PgsiloError(
      'catalog.corrupt',
      `${place.key} is the manifest of another backup: ${JSON.stringify(unit.name)} ${backup} of pipeline ${pipeline}`,
    );
  }
  return parsed.data;
}
