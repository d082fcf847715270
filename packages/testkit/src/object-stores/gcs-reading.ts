import { gunzipSync } from 'node:zlib';
import type { GcsBucket } from './gcs-buckets.ts';
import { etagOf, storageClassOf } from './gcs-object.ts';
import type { GcsObject } from './gcs-object.ts';
import { refusals } from './gcs-refusal.ts';

/** What of a request's head matters here. */
interface Wanted {
  readonly range?: string | undefined;
  readonly 'accept-encoding'?: string | string[] | undefined;
}

/**
 * The whole object or one range of it; a header that is no range asks for all. What is stored compressed is sent so to who takes that; to others it is
 * decompressed on the way, and then a range is not heeded.
 */
export function contentOf(
  object: GcsObject,
  bucket: GcsBucket,
  { range: rangeHeader, 'accept-encoding': accepted = '' }: Wanted,
): { readonly status: 200 | 206; readonly content: Buffer; readonly headers: Record<string, string> } {
  const { content, said } = object;
  const headers = {
    'content-type': said.contentType ?? 'application/octet-stream',
    ...(said.contentEncoding === undefined ? {} : { 'content-encoding': said.contentEncoding }),
    etag: etagOf(object),
    'x-goog-hash': `crc32c=${object.crc32c},md5=${object.md5Hash}`,
    'x-goog-generation': String(object.generation),
    'x-goog-metageneration': String(object.metageneration),
    'x-goog-stored-content-length': String(content.length),
    'x-goog-stored-content-encoding': said.contentEncoding ?? 'identity',
    'x-goog-storage-class': storageClassOf(object, bucket),
  };
  if (
    said.contentEncoding === 'gzip' &&
    !/\bgzip\b/.test(String(accepted)) &&
    !/no-transform/.test(said.cacheControl ?? '')
  ) {
    const { 'content-encoding': _, ...plain } = headers;
    const warning = { warning: '214 UploadServer gunzipped' };
    return { status: 200, content: gunzipSync(content), headers: { ...plain, ...warning } };
  }
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(rangeHeader ?? '') ?? [];
  if (first === '' && last === '') return { status: 200, content, headers };
  const begin = first === '' ? Math.max(0, content.length - Number(last)) : Number(first);
  const end = first === '' || last === '' ? content.length : Math.min(content.length, Number(last) + 1);
  if (first !== '' && last !== '' && Number(last) < begin) return { status: 200, content, headers };
  if (begin >= content.length) throw refusals.noSuchRange();
  return {
    status: 206,
    content: content.subarray(begin, end),
    headers: { ...headers, 'content-range': `bytes ${begin}-${end - 1}/${content.length}` },
  };
}
