import { newBucket } from './gcs-buckets.ts';
import type { GcsBucket, GcsBucketSettings } from './gcs-buckets.ts';
import { etagOf, mustBeFree, mustBeReleased, newObject } from './gcs-object.ts';
import type { GcsObject, NewObject } from './gcs-object.ts';
import { refusals } from './gcs-refusal.ts';

/** `ifGenerationMatch` and its like, as they came in a query. */
export interface Conditions {
  readonly ifGenerationMatch?: bigint;
  readonly ifGenerationNotMatch?: bigint;
  readonly ifMetagenerationMatch?: bigint;
  readonly ifMetagenerationNotMatch?: bigint;
}

/** Buckets and objects, without the protocol: what is refused, and in which order. */
export class GcsService {
  readonly buckets: Map<string, GcsBucket> = new Map();
  /** Moved by tests: sessions expire and retention ends. */
  now: () => Date = () => new Date();
  /** Changes content behind the checks, as bad memory does; what is stored is described as it is. */
  damage: (content: Buffer) => Buffer = (content) => content;
  #lastGeneration = 1_700_000_000_000_000n;

  createBucket(name: string, settings: GcsBucketSettings = {}): GcsBucket {
    const bucket = newBucket(name, settings, this.now());
    this.buckets.set(name, bucket);
    return bucket;
  }

  bucket(name: string): GcsBucket {
    const bucket = this.buckets.get(name);
    if (!bucket) throw refusals.noBucket();
    return bucket;
  }

  /** Stores a new generation, as one step: nobody else's request comes between condition and object. */
  insert(bucket: GcsBucket, said: NewObject, content: Buffer, conditions: Conditions): GcsObject {
    const live = liveOf(bucket, said.name);
    mustHold(conditions, live);
    this.#lastGeneration += 1n;
    const now = this.now();
    const checked = newObject(bucket.name, said, content, this.#lastGeneration, now);
    const stored = this.damage(content);
    const { crc32c: _, md5Hash: __, ...unclaimed } = said;
    const object =
      stored === content ? checked : newObject(bucket.name, unclaimed, stored, this.#lastGeneration, now);
    if (bucket.settings.defaultEventBasedHold && said.eventBasedHold === undefined)
      object.said = { ...said, eventBasedHold: true };
    if (live) this.#retire(bucket, live);
    const generations = bucket.objects.get(said.name) ?? [];
    bucket.objects.set(said.name, [...generations, object]);
    return object;
  }

  /** The live one, or the generation that was asked for. */
  find(bucket: GcsBucket, name: string, generation: bigint | undefined): GcsObject {
    const generations = bucket.objects.get(name) ?? [];
    const found =
      generation === undefined
        ? generations.find((one) => one.deleted === undefined)
        : generations.find((one) => one.generation === generation);
    if (!found) throw refusals.noObject(bucket.name, name);
    return found;
  }

  /** Without a generation, a bucket with versions keeps what was the live one. */
  remove(bucket: GcsBucket, name: string, generation: bigint | undefined, conditions: Conditions): void {
    const object = this.find(bucket, name, generation);
    mustHold(conditions, object);
    if (generation === undefined) return this.#retire(bucket, object);
    mustBeFree(object, bucket, this.now());
    this.#forget(bucket, object);
  }

  /** Also retained objects may stop being the live one, where versions are kept; those on hold may not. */
  #retire(bucket: GcsBucket, live: GcsObject): void {
    if (bucket.settings.versioning) {
      mustBeReleased(live, bucket);
      live.deleted = this.now();
      return;
    }
    mustBeFree(live, bucket, this.now());
    this.#forget(bucket, live);
  }

  #forget(bucket: GcsBucket, { name, generation }: GcsObject): void {
    const rest = (bucket.objects.get(name) ?? []).filter((one) => one.generation !== generation);
    if (rest.length > 0) bucket.objects.set(name, rest);
    else bucket.objects.delete(name);
  }
}

export function liveOf(bucket: GcsBucket, name: string): GcsObject | undefined {
  return bucket.objects.get(name)?.find((one) => one.deleted === undefined);
}

/** An object that is not there has the generation 0, and nothing of it can be other than what was named. */
export function mustHold(
  conditions: Conditions,
  object: GcsObject | undefined,
  doing: 'reading' | 'writing' = 'writing',
): void {
  const generation = object?.generation ?? 0n;
  const metageneration = BigInt(object?.metageneration ?? 0);
  const { ifGenerationMatch, ifGenerationNotMatch, ifMetagenerationMatch, ifMetagenerationNotMatch } =
    conditions;
  if (
    (ifGenerationMatch !== undefined && ifGenerationMatch !== generation) ||
    (ifMetagenerationMatch !== undefined && ifMetagenerationMatch !== metageneration)
  )
    throw refusals.notMet();
  if (
    (ifGenerationNotMatch !== undefined && (!object || ifGenerationNotMatch === generation)) ||
    (ifMetagenerationNotMatch !== undefined && (!object || ifMetagenerationNotMatch === metageneration))
  )
    throw doing === 'reading' ? refusals.notModified() : refusals.notMet();
}

/** The headers that name an object by its etag, as the JSON API takes them beside the conditions of the query. */
export function mustMatchEtag(
  headers: { readonly 'if-match'?: string | undefined; readonly 'if-none-match'?: string | undefined },
  object: GcsObject,
  doing: 'reading' | 'writing' = 'writing',
): void {
  const names = (header: string): boolean =>
    header.trim() === '*' ||
    header.split(',').some((one) => one.trim().replace(/^"(.*)"$/, '$1') === etagOf(object));
  const { 'if-match': match, 'if-none-match': noneMatch } = headers;
  if (match !== undefined && !names(match)) throw refusals.notMet();
  if (noneMatch !== undefined && names(noneMatch))
    throw doing === 'reading' ? refusals.notModified() : refusals.notMet();
}
