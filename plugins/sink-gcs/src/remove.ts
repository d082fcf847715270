import { mapInOrder } from '@pgsilo/plugin/blocks';
import type { Context, RetainedObject } from '@pgsilo/plugin';
import { AnswerError, attempt, saysNoBucket } from './errors.ts';
import type { Resource, Store } from './store.ts';

/** One request for each object: what was refused in a batch would have to be picked out of its parts. */
const atOnce = 16;

export type Remove = (keys: readonly string[], context: Context) => Promise<readonly RetainedObject[]>;

/** Removes objects for good, with the versions that the bucket keeps of them. */
export function createRemove(store: Store): Remove {
  let keepsVersions: Promise<boolean> | undefined;

  async function removeOne(key: string, context: Context): Promise<RetainedObject | undefined> {
    const name = store.prefix + key;
    keepsVersions ??= asksVersioning(store, context);
    const versioned = await keepsVersions.catch((error: unknown) => {
      keepsVersions = undefined;
      throw error;
    });
    // By generation: else a retained object would be hidden rather than removed.
    const generations = versioned ? await generationsOf(store, name, context) : [undefined];
    for (const generation of generations) {
      const kept = await removeGeneration(store, key, generation, context);
      if (kept) return kept;
    }
    return undefined;
  }

  return async (keys, context) => {
    const kept: RetainedObject[] = [];
    const each = mapInOrder(from(keys), atOnce, (key) =>
      attempt(`remove ${key}`, context, () => removeOne(key, context)),
    );
    for await (const one of each) if (one) kept.push(one);
    return kept;
  };
}

async function* from<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

/** True, too, where the credentials may not ask: to look for versions only costs requests. */
async function asksVersioning(store: Store, context: Context): Promise<boolean> {
  const path = store.path().replace(/\/o$/, '');
  try {
    const { versioning } = await store.ask<{ versioning?: { enabled?: boolean } }>(
      { method: 'GET', path, query: { fields: 'versioning' } },
      context,
    );
    return versioning?.enabled === true;
  } catch (error) {
    if (error instanceof AnswerError && error.status === 403) return true;
    if (error instanceof AnswerError && error.status === 404)
      throw new AnswerError(404, error.reason, 'The specified bucket does not exist.');
    throw error;
  }
}

interface Versions {
  readonly items?: readonly (Resource & { readonly timeDeleted?: string })[];
  readonly nextPageToken?: string;
}

/** The live one first: when it is retained, nothing of the object is removed. */
async function generationsOf(store: Store, name: string, context: Context): Promise<readonly string[]> {
  const live: string[] = [];
  const older: string[] = [];
  let pageToken: string | undefined;
  do {
    const query = {
      prefix: name,
      versions: 'true',
      fields: 'items(name,generation,timeDeleted),nextPageToken',
      pageToken,
      // In the order of names: what only begins with this one comes later.
      maxResults: '10',
    };
    const page = await store.ask<Versions>({ method: 'GET', path: store.path(), query }, context);
    const items = page.items ?? [];
    for (const { name: other, generation, timeDeleted } of items)
      if (other === name) (timeDeleted === undefined ? live : older).push(generation);
    pageToken = items.some((one) => one.name !== name) ? undefined : page.nextPageToken;
  } while (pageToken !== undefined && pageToken !== '');
  return [...live, ...older];
}

/** What keeps it, where a hold or a retention does. */
async function removeGeneration(
  store: Store,
  key: string,
  generation: string | undefined,
  context: Context,
): Promise<RetainedObject | undefined> {
  const path = store.path(store.prefix + key);
  try {
    await store.ask({ method: 'DELETE', path, query: { generation } }, context);
    return undefined;
  } catch (error) {
    if (!(error instanceof AnswerError)) throw error;
    if (error.status === 404 && !saysNoBucket(error)) return undefined;
    if (error.status !== 403) throw error;
    // A hold and a missing right are refused with one reason; what the object says of itself tells them apart.
    const state = await store.ask<Resource>({ method: 'GET', path, query: { generation } }, context);
    const kept = retained(key, state, error, context);
    if (!kept) throw error;
    return kept;
  }
}

/** Undefined: nothing keeps it. Where the service names the retention, its clock decides and not ours. */
function retained(
  key: string,
  state: Resource,
  { reason }: AnswerError,
  { clock }: Context,
): RetainedObject | undefined {
  const { temporaryHold, eventBasedHold, retentionExpirationTime, retention } = state;
  if (temporaryHold || eventBasedHold) return { key };
  const ends = [retentionExpirationTime, retention?.retainUntilTime].flatMap((text) =>
    text === undefined ? [] : [new Date(text)],
  );
  const until = ends.sort((a, b) => b.getTime() - a.getTime())[0];
  return until && (reason === 'retentionPolicyNotMet' || until > clock.now()) ? { key, until } : undefined;
}
