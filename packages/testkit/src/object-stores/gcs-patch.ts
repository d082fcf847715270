import type { GcsBucket } from './gcs-buckets.ts';
import { mustBeRetention, mustBeTime } from './gcs-object.ts';
import type { GcsObject, NewObject, Retention } from './gcs-object.ts';
import { GcsRefusal, refusals } from './gcs-refusal.ts';
import { isSet } from './gcs-request.ts';

/** What can be changed of an object; all else that a patch names is left as it is. */
const changeable = [
  'contentType',
  'contentEncoding',
  'cacheControl',
  'contentDisposition',
  'contentLanguage',
  'customTime',
  'metadata',
  'temporaryHold',
  'eventBasedHold',
  'retention',
] as const;

/** A patch names what changes: null removes it, and metadata is changed entry by entry. */
export function patchObject(
  object: GcsObject,
  bucket: GcsBucket,
  patch: Record<string, unknown>,
  query: URLSearchParams,
  now: Date,
): void {
  const said: Record<string, unknown> = { ...object.said };
  for (const name of changeable)
    if (name in patch) said[name] = name === 'metadata' ? merged(said[name], patch[name]) : patch[name];
  const changed = Object.fromEntries(
    Object.entries(said).filter(([, value]) => value !== null),
  ) as unknown as NewObject;
  if ('retention' in patch) {
    if (changed.retention) mustBeRetention(changed.retention, bucket);
    mustNotShorten(object.said.retention, changed.retention, query);
  }
  if ('customTime' in patch) mustNotGoBack(object.said.customTime, changed.customTime);
  if (object.said.eventBasedHold && !changed.eventBasedHold) object.released = now;
  object.said = changed;
  object.metageneration += 1;
  object.updated = now;
}

function merged(before: unknown, after: unknown): unknown {
  if (after === null) return null;
  const all = { ...(before as object | undefined), ...(after as object) };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null));
}

function mustNotGoBack(before: string | undefined, after: string | undefined): void {
  if (after !== undefined) mustBeTime(after);
  if (before === undefined) return;
  if (after === undefined || Date.parse(after) < Date.parse(before))
    throw refusals.invalid('Custom time cannot be removed or set to an earlier time.');
}

function mustNotShorten(
  before: Retention | undefined,
  after: Retention | undefined,
  query: URLSearchParams,
): void {
  if (!before) return;
  const shorter = !after || new Date(after.retainUntilTime) < new Date(before.retainUntilTime);
  if (before.mode === 'Locked' && (shorter || after.mode !== 'Locked'))
    throw new GcsRefusal(403, 'forbidden', 'A locked object retention can only be made longer.');
  if (shorter && !isSet(query, 'overrideUnlockedRetention'))
    throw new GcsRefusal(
      403,
      'forbidden',
      'To shorten or remove an object retention, overrideUnlockedRetention=true is required.',
    );
}
