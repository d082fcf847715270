import { crc32cOf, md5Of } from './gcs-checksums.ts';
import type { Claims } from './gcs-checksums.ts';
import type { GcsBucket } from './gcs-buckets.ts';
import { refusals } from './gcs-refusal.ts';

/** What a client says of a new object. */
export interface NewObject extends Claims {
  readonly name: string;
  readonly contentType?: string;
  readonly contentEncoding?: string;
  readonly cacheControl?: string;
  readonly contentDisposition?: string;
  readonly contentLanguage?: string;
  /** RFC 3339; may later be moved on, never back. */
  readonly customTime?: string;
  readonly storageClass?: string;
  readonly kmsKeyName?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly temporaryHold?: boolean;
  readonly eventBasedHold?: boolean;
  readonly retention?: Retention;
}

/** An object's own. */
export interface Retention {
  readonly mode: string;
  readonly retainUntilTime: string;
}

/** One generation. */
export interface GcsObject {
  readonly bucket: string;
  readonly name: string;
  readonly generation: bigint;
  readonly content: Buffer;
  readonly crc32c: string;
  readonly md5Hash: string;
  readonly created: Date;
  /** Holds and metadata can be changed afterwards. */
  said: NewObject;
  metageneration: number;
  updated: Date;
  /** Set when it stopped being the live one. */
  deleted?: Date;
  /** Set when an event-based hold on it ended. */
  released?: Date;
}

const storageClasses = [
  'STANDARD',
  'NEARLINE',
  'COLDLINE',
  'ARCHIVE',
  'MULTI_REGIONAL',
  'REGIONAL',
  'DURABLE_REDUCED_AVAILABILITY',
];
const kmsKey = /^projects\/[^/]+\/locations\/[^/]+\/keyRings\/[^/]+\/cryptoKeys\/[^/]+$/;

/** Refuses what the service refuses in the description of an object, before a byte of it has come. */
export function mustBeSound(said: NewObject, bucket: GcsBucket): void {
  const { name, storageClass, kmsKeyName, retention } = said;
  if (Buffer.byteLength(name) > 1024)
    throw refusals.invalid('The maximum object name length is 1024 characters');
  if (/[\r\n]/.test(name) || name === '.' || name === '..' || name.startsWith('.well-known/acme-challenge/'))
    throw refusals.invalid(`Invalid object name: ${JSON.stringify(name)}`);
  if (storageClass !== undefined && !storageClasses.includes(storageClass))
    throw refusals.invalid(`Invalid argument: storage class ${storageClass}`);
  if (kmsKeyName !== undefined && !kmsKey.test(kmsKeyName))
    throw refusals.invalid(
      `Malformed Cloud KMS crypto key: ${kmsKeyName}, expected projects/P/locations/L/keyRings/R/cryptoKeys/K`,
    );
  if (said.customTime !== undefined) mustBeTime(said.customTime);
  if (retention) mustBeRetention(retention, bucket);
}

export function mustBeTime(time: string): void {
  if (!/^\d{4}-\d\d-\d\d[Tt]/.test(time) || Number.isNaN(Date.parse(time)))
    throw refusals.invalid(`Invalid value for: Invalid format: "${time}"`);
}

export function mustBeRetention({ mode, retainUntilTime }: Retention, { settings }: GcsBucket): void {
  if (!settings.objectRetention) throw refusals.invalid('Object retention is not enabled on the bucket.');
  if ((mode !== 'Locked' && mode !== 'Unlocked') || Number.isNaN(Date.parse(retainUntilTime)))
    throw refusals.invalid('Object retention needs a mode (Locked or Unlocked) and a time.');
}

export function newObject(
  bucket: string,
  said: NewObject,
  content: Buffer,
  generation: bigint,
  now: Date,
): GcsObject {
  const crc32c = crc32cOf(content);
  const md5Hash = md5Of(content);
  for (const [kind, claimed, found] of [
    ['CRC32C', said.crc32c, crc32c],
    ['MD5 hash', said.md5Hash, md5Hash],
  ])
    if (claimed !== undefined && claimed !== found)
      throw refusals.invalid(`Provided ${kind} "${claimed}" doesn't match calculated ${kind} "${found}".`);
  return {
    bucket,
    name: said.name,
    generation,
    content,
    crc32c,
    md5Hash,
    created: now,
    said,
    metageneration: 1,
    updated: now,
  };
}

/** When the bucket's policy lets go of an object; the end of an event-based hold begins the period anew. */
function policyEnd({ created, released }: GcsObject, { settings }: GcsBucket): Date | undefined {
  const { retention: period } = settings;
  return period === undefined ? undefined : new Date((released ?? created).getTime() + period);
}

export function mustBeReleased({ name, said }: GcsObject, bucket: GcsBucket): void {
  if (said.temporaryHold) throw refusals.held(bucket.name, name, 'Temporary');
  if (said.eventBasedHold) throw refusals.held(bucket.name, name, 'Event-Based');
}

export function mustBeFree(object: GcsObject, bucket: GcsBucket, now: Date): void {
  mustBeReleased(object, bucket);
  const own = object.said.retention && new Date(object.said.retention.retainUntilTime);
  for (const until of [policyEnd(object, bucket), own])
    if (until && until > now) throw refusals.retained(bucket.name, object.name, until);
}

export function storageClassOf({ said }: GcsObject, { settings }: GcsBucket): string {
  return said.storageClass ?? settings.storageClass ?? 'STANDARD';
}

export function objectResource(
  object: GcsObject,
  bucket: GcsBucket,
  endpoint: string,
): Record<string, unknown> {
  const { name, generation, content, said } = object;
  const path = `${endpoint}/storage/v1/b/${bucket.name}/o/${encodeURIComponent(name)}`;
  const { contentType = 'application/octet-stream', contentEncoding, metadata, kmsKeyName, retention } = said;
  const { temporaryHold, eventBasedHold, cacheControl, contentDisposition, contentLanguage, customTime } =
    said;
  const until = policyEnd(object, bucket);
  return {
    kind: 'storage#object',
    id: `${bucket.name}/${name}/${generation}`,
    selfLink: path,
    mediaLink: `${endpoint}/download/storage/v1/b/${bucket.name}/o/${encodeURIComponent(name)}?generation=${generation}&alt=media`,
    name,
    bucket: bucket.name,
    generation: String(generation),
    metageneration: String(object.metageneration),
    contentType,
    storageClass: storageClassOf(object, bucket),
    size: String(content.length),
    md5Hash: object.md5Hash,
    crc32c: object.crc32c,
    etag: etagOf(object),
    timeCreated: object.created.toISOString(),
    updated: object.updated.toISOString(),
    timeStorageClassUpdated: object.created.toISOString(),
    ...(object.deleted ? { timeDeleted: object.deleted.toISOString() } : {}),
    ...(contentEncoding === undefined ? {} : { contentEncoding }),
    ...(cacheControl === undefined ? {} : { cacheControl }),
    ...(contentDisposition === undefined ? {} : { contentDisposition }),
    ...(contentLanguage === undefined ? {} : { contentLanguage }),
    ...(customTime === undefined ? {} : { customTime }),
    ...(metadata === undefined ? {} : { metadata }),
    ...(kmsKeyName === undefined ? {} : { kmsKeyName: `${kmsKeyName}/cryptoKeyVersions/1` }),
    ...(temporaryHold === undefined ? {} : { temporaryHold }),
    ...(eventBasedHold === undefined ? {} : { eventBasedHold }),
    ...(retention === undefined ? {} : { retention }),
    ...(until === undefined || eventBasedHold ? {} : { retentionExpirationTime: until.toISOString() }),
  };
}

/** Opaque to clients. */
export function etagOf({ generation, metageneration }: GcsObject): string {
  return Buffer.from(`${generation}/${metageneration}`).toString('base64');
}
