import { z } from 'zod';
import { PgsiloError, type BackupView } from '@pgsilo/plugin';
import { artifactOf, readBytes } from '@pgsilo/postgres';
import type { WalRange } from './wal-range.ts';

/** The artifact that says what the others are of: names, places, settings. It goes through the transforms, as it holds settings. */
export const clusterFileName = 'cluster.json';

export interface ClusterFile {
  readonly databases: readonly ClusterDatabase[];
  readonly tablespaces: readonly ClusterTablespace[];
  readonly wal: WalRange;
  readonly configuration: Configuration;
}

export interface ClusterDatabase {
  readonly oid: string;
  readonly name: string;
  /** OID of the tablespace where its files lie that are in no other. */
  readonly tablespace: string;
  /** It was gone when the backup ended. */
  readonly dropped?: true;
  /** Undefined: they were not asked for, or the database could not be read. */
  readonly schemas?: readonly string[];
}

export interface ClusterTablespace {
  readonly oid: string;
  readonly name?: string;
  /** Its folder. */
  readonly location: string;
}

/** How the server was configured, as far as the role may know. */
export interface Configuration {
  readonly dataDirectory?: string;
  readonly configFile?: string;
  readonly hbaFile?: string;
  readonly identFile?: string;
  /** What the configuration files set, the last word of each; undefined: the role may not read it. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Settings that recovery refuses to find lower than they were. */
  readonly limits: Readonly<Record<string, string>>;
}

const oid = z.string().regex(/^\d+$/);
const texts = z.record(z.string(), z.string());

const clusterFileSchema: z.ZodType<ClusterFile> = z.object({
  databases: z.array(
    z.object({
      oid,
      name: z.string(),
      tablespace: oid,
      dropped: z.literal(true).exactOptional(),
      schemas: z.array(z.string()).exactOptional(),
    }),
  ),
  tablespaces: z.array(z.object({ oid, name: z.string().exactOptional(), location: z.string().min(1) })),
  wal: z.object({
    timeline: z.int().positive(),
    start: z.string(),
    stop: z.string(),
    segmentBytes: z.int().positive(),
  }),
  configuration: z.object({
    dataDirectory: z.string().exactOptional(),
    configFile: z.string().exactOptional(),
    hbaFile: z.string().exactOptional(),
    identFile: z.string().exactOptional(),
    settings: texts.exactOptional(),
    limits: texts,
  }),
});

/** Throws `source.archive-invalid`. */
export async function readClusterFile(backup: BackupView): Promise<ClusterFile> {
  const bytes = await readBytes(artifactOf(backup, clusterFileName));
  try {
    return clusterFileSchema.parse(JSON.parse(bytes.toString()));
  } catch (error) {
    throw new PgsiloError('source.archive-invalid', `${clusterFileName} of the backup is not understood`, {
      cause: error,
      hint: 'It may have been written by a later pgsilo: upgrade.',
    });
  }
}
