import { PgsiloError } from '@pgsilo/plugin';
import type { Context, RetainedObject } from '@pgsilo/plugin';
import { createDeleteObjects } from './delete-objects.ts';
import { attempt, nameOf } from './errors.ts';
import { inLanes } from './lanes.ts';
import type { Store } from './store.ts';
import { keepsVersions, lockOf, versionsOf } from './versions.ts';
import type { ListedVersion } from './versions.ts';

const atOnce = 16;

export type Remove = (keys: readonly string[], context: Context) => Promise<readonly RetainedObject[]>;

/** Removes objects for good, with the versions that the bucket keeps of them. */
export function createRemove(store: Store): Remove {
  const deleteObjects = createDeleteObjects(store);
  let versioned: boolean | undefined;

  /** By name alone: for good where there are no versions; else a marker hides the object. Returns those that were hidden. */
  async function removeByName(keys: readonly string[], signal: AbortSignal): Promise<readonly string[]> {
    const left = await deleteObjects(
      keys.map((key) => ({ key })),
      signal,
    );
    const [refused] = left.refused;
    if (refused) throw denied(refused.key);
    return left.hidden.map(({ key }) => key);
  }

  async function removeVersions(
    keys: readonly string[],
    { signal, clock }: Context,
  ): Promise<RetainedObject[]> {
    const found: ListedVersion[] = [];
    const unlisted: string[] = [];
    await inLanes(keys, atOnce, async (key) => {
      try {
        found.push(...(await versionsOf(store, key, signal)));
      } catch (error) {
        if (nameOf(error) !== 'AccessDenied') throw error;
        unlisted.push(key);
      }
    });
    const objects = found.filter(({ marker }) => !marker);
    const { refused } = await deleteObjects(objects, signal);
    const retained = new Map<string, RetainedObject>();
    const kept = new Set<string>();
    await inLanes(refused, atOnce, async (version) => {
      const lock = await lockOf(store, version, clock.now(), signal);
      if (lock) retained.set(lock.key, laterOf(retained.get(lock.key), lock));
      else kept.add(version.key);
    });
    // A locked object stays visible, and what hid it before goes on hiding it.
    const markers = found.filter(({ key, marker }) => marker && !retained.has(key) && !kept.has(key));
    const left = await deleteObjects(markers, signal);
    for (const { key } of left.refused) retained.set(key, { key });
    // Who keeps the versions from everybody, against blackmail, still lets them be hidden. Where one may not list them, there may be none.
    const held = [...kept].filter((key) => !retained.has(key));
    const hiddenBefore = new Set(found.flatMap(({ key, marker, latest }) => (marker && latest ? [key] : [])));
    const visible = held.filter((key) => !hiddenBefore.has(key));
    const hidden = await removeByName([...visible, ...unlisted], signal);
    return [...retained.values(), ...[...new Set([...held, ...hidden])].map((key) => ({ key }))];
  }

  return (keys, context) =>
    attempt(`remove ${keys.length === 1 ? keys[0] : `${keys.length} objects`}`, context, async () => {
      if (keys.length === 0) return [];
      versioned ??= await keepsVersions(store, context.signal);
      if (versioned) return removeVersions(keys, context);
      return (await removeByName(keys, context.signal)).map((key) => ({ key }));
    });
}

/** Undefined is without an end. */
function laterOf(one: RetainedObject | undefined, other: RetainedObject): RetainedObject {
  if (one === undefined) return other;
  if (one.until === undefined) return one;
  return other.until === undefined || other.until > one.until ? other : one;
}

function denied(key: string): PgsiloError {
  return new PgsiloError('sink.denied', `cannot remove ${key}: the store refuses it`, {
    hint: 'Does the policy of key and bucket allow s3:DeleteObject?',
  });
}
