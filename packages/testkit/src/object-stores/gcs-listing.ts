import type { GcsBucket } from './gcs-buckets.ts';
import { objectResource } from './gcs-object.ts';
import type { GcsObject } from './gcs-object.ts';
import { GcsRefusal, refusals } from './gcs-refusal.ts';
import { isSet, numberIn } from './gcs-request.ts';

/** As many as the service lists at once, whatever was asked for. */
const largestPage = 1000;
/** Said aloud rather than ignored: their answers would be wrong. */
const notKnown = ['matchGlob', 'softDeleted', 'filter'];

/** One thing that is listed: a generation of an object, or what several names begin with. */
interface Entry {
  /** Names in the order of their bytes in UTF-8, and their generations: pages go on behind one. */
  readonly place: string;
  readonly object?: GcsObject;
  readonly prefix?: string;
}

/** A page of a bucket's objects, in the order of their names, and of their generations. */
export function listPage(
  bucket: GcsBucket,
  query: URLSearchParams,
  endpoint: string,
): Record<string, unknown> {
  for (const name of notKnown)
    if (query.has(name)) throw new GcsRefusal(501, 'notImplemented', `This server does not know ${name}.`);
  const most = Number(numberIn(query, 'maxResults') ?? largestPage);
  if (most < 1) throw refusals.invalid(`Invalid unsigned value ${most} of maxResults`);
  const after = placeIn(query.get('pageToken'));
  const size = Math.min(most, largestPage);
  const page: Entry[] = [];
  let next: string | undefined;
  for (const entry of entriesOf(bucket, query)) {
    if (after !== undefined && entry.place <= after) continue;
    if (page.length === size) {
      next = Buffer.from(page.at(-1)?.place ?? '').toString('base64');
      break;
    }
    page.push(entry);
  }
  const prefixes = page.flatMap(({ prefix }) => prefix ?? []);
  const items = page.flatMap(({ object }) => (object ? [objectResource(object, bucket, endpoint)] : []));
  return {
    kind: 'storage#objects',
    ...(next === undefined ? {} : { nextPageToken: next }),
    ...(prefixes.length === 0 ? {} : { prefixes }),
    ...(items.length === 0 ? {} : { items }),
  };
}

function* entriesOf(bucket: GcsBucket, query: URLSearchParams): Generator<Entry> {
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const versions = isSet(query, 'versions');
  const trailing = isSet(query, 'includeTrailingDelimiter');
  const from = orderOf(query.get('startOffset') ?? '');
  const end = query.get('endOffset');
  const names = [...bucket.objects.keys()]
    .filter((name) => name.startsWith(prefix))
    .map((name) => ({ name, order: orderOf(name) }))
    .filter(({ order }) => order >= from && (end === null || order < orderOf(end)))
    .sort((a, b) => (a.order < b.order ? -1 : 1));
  let lastFolder: string | undefined;
  for (const { name, order } of names) {
    const found = (bucket.objects.get(name) ?? []).filter((one) => versions || one.deleted === undefined);
    if (found.length === 0) continue;
    const at = delimiter === '' ? -1 : name.indexOf(delimiter, prefix.length);
    const folder = at < 0 ? undefined : name.slice(0, at + delimiter.length);
    if (folder !== undefined && folder !== lastFolder) yield { place: orderOf(folder), prefix: folder };
    lastFolder = folder ?? lastFolder;
    if (folder !== undefined && !(trailing && folder === name)) continue;
    // Of generations as many digits as there are: 16.
    for (const object of found) yield { place: `${order} ${object.generation}`, object };
  }
}

/** Strings of JavaScript are compared by units of UTF-16, the service's by bytes of UTF-8. */
function orderOf(name: string): string {
  return Buffer.from(name).toString('hex');
}

function placeIn(token: string | null): string | undefined {
  if (token === null || token === '') return undefined;
  const place = Buffer.from(token, 'base64').toString();
  if (!/^(?:[0-9a-f]{2})+(?: \d+)?$/.test(place) || Buffer.from(place).toString('base64') !== token)
    throw refusals.invalid('Invalid page token.');
  return place;
}
