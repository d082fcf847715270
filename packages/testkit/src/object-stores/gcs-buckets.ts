import { refusals } from './gcs-refusal.ts';
import type { GcsObject } from './gcs-object.ts';

/** What can be said of a bucket when it is made. */
export interface GcsBucketSettings {
  readonly versioning?: boolean;
  /** Milliseconds that each object is retained. */
  readonly retention?: number;
  readonly storageClass?: string;
  /** Everybody says who pays. */
  readonly requesterPays?: boolean;
  readonly defaultEventBasedHold?: boolean;
  /** Whether objects can have a retention of their own. */
  readonly objectRetention?: boolean;
}

/** All generations of each name, the oldest first. */
export interface GcsBucket {
  readonly name: string;
  readonly settings: GcsBucketSettings;
  readonly created: Date;
  readonly objects: Map<string, GcsObject[]>;
}

const bucketName = /^(?=.{3,222}$)[a-z0-9][a-z0-9._-]*[a-z0-9]$/;

export function newBucket(name: string, settings: GcsBucketSettings, created: Date): GcsBucket {
  if (!bucketName.test(name)) throw refusals.invalid(`Invalid bucket name: '${name}'`);
  return { name, settings, created, objects: new Map() };
}

export function bucketResource({ name, settings, created }: GcsBucket): Record<string, unknown> {
  const { versioning, retention, storageClass = 'STANDARD', requesterPays, defaultEventBasedHold } = settings;
  const { objectRetention } = settings;
  return {
    kind: 'storage#bucket',
    id: name,
    name,
    metageneration: '1',
    location: 'EU',
    storageClass,
    timeCreated: created.toISOString(),
    updated: created.toISOString(),
    ...(versioning === undefined ? {} : { versioning: { enabled: versioning } }),
    ...(requesterPays ? { billing: { requesterPays } } : {}),
    ...(defaultEventBasedHold ? { defaultEventBasedHold } : {}),
    ...(objectRetention ? { objectRetention: { mode: 'Enabled' } } : {}),
    ...(retention === undefined
      ? {}
      : {
          retentionPolicy: {
            retentionPeriod: String(retention / 1000),
            effectiveTime: created.toISOString(),
            isLocked: false,
          },
        }),
  };
}
