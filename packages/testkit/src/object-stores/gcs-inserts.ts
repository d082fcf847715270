import type { GcsBucket } from './gcs-buckets.ts';
import { claimsOf } from './gcs-checksums.ts';
import { mustBeSound } from './gcs-object.ts';
import type { GcsObject, NewObject } from './gcs-object.ts';
import { refusals } from './gcs-refusal.ts';
import { conditionsIn, describedBy } from './gcs-request.ts';
import type { GcsRequest } from './gcs-request.ts';
import type { GcsService } from './gcs-service.ts';

/** An object that comes in one request: its bytes alone, or its description and its bytes. */
export function insertWhole(
  service: GcsService,
  bucket: GcsBucket,
  { query, headers }: GcsRequest,
  body: Buffer,
): GcsObject {
  const { said, content } = readUpload(query, headers['content-type'] ?? '', body);
  const sent = claimsOf(headers['x-goog-hash']);
  const md5 = headers['content-md5'];
  const claims = { ...sent, ...(typeof md5 === 'string' ? { md5Hash: md5 } : {}) };
  mustBeSound(said, bucket);
  return service.insert(bucket, { ...said, ...claims }, content, conditionsIn(query));
}

function readUpload(
  query: URLSearchParams,
  contentType: string,
  body: Buffer,
): { readonly said: NewObject; readonly content: Buffer } {
  const uploadType = query.get('uploadType');
  if (uploadType === 'media')
    return {
      said: { ...describedBy('', query), ...(contentType === '' ? {} : { contentType }) },
      content: body,
    };
  if (uploadType !== 'multipart')
    throw refusals.invalid(
      `Invalid value '${uploadType}' of uploadType: expected media, multipart or resumable`,
    );
  // Either quotes: those of Google's own clients are single ones.
  const [, , boundary] = /^multipart\/related\b.*;\s*boundary=(["']?)([^"';\s]+)\1/i.exec(contentType) ?? [];
  if (boundary === undefined)
    throw refusals.invalid('Content-Type must be multipart/related with a boundary');
  const parts = partsOf(body, boundary);
  const [description, media] = parts;
  if (parts.length !== 2 || !description || !media)
    throw refusals.invalid(`Multipart must have exactly two parts: found ${parts.length}`);
  if (!/^application\/json\b/i.test(description.contentType))
    throw refusals.invalid('The first part must be application/json');
  const said = describedBy(description.content.toString(), query);
  const type = said.contentType ?? media.contentType;
  return { said: { ...said, ...(type === '' ? {} : { contentType: type }) }, content: media.content };
}

interface Part {
  readonly contentType: string;
  readonly content: Buffer;
}

/**
 * RFC 2046: a delimiter begins a line, which belongs to it and not to the part before it. Lines end in CRLF there;
 * clients of Google's own end them in LF, and the service takes that.
 */
function partsOf(body: Buffer, boundary: string): readonly Part[] {
  const delimiter = `--${boundary}`;
  const lineEnd = body.includes(`${delimiter}\r\n`) ? '\r\n' : '\n';
  const separator = `${lineEnd}${delimiter}`;
  const parts: Part[] = [];
  let at = body.subarray(0, delimiter.length).equals(Buffer.from(delimiter))
    ? delimiter.length
    : after(body, separator, 0);
  while (body.subarray(at, at + 2).toString() !== '--') {
    const begin = after(body, lineEnd, at);
    const end = body.indexOf(separator, begin - lineEnd.length);
    if (end < 0) throw refusals.invalid('The multipart body has no end');
    parts.push(partOf(body.subarray(begin, Math.max(begin, end)), lineEnd));
    at = end + separator.length;
  }
  return parts;
}

function after(body: Buffer, wanted: string, from: number): number {
  const at = body.indexOf(wanted, from);
  if (at < 0) throw refusals.invalid('The multipart body is malformed');
  return at + wanted.length;
}

function partOf(part: Buffer, lineEnd: string): Part {
  const noHead = part.subarray(0, lineEnd.length).toString() === lineEnd;
  const end = noHead ? lineEnd.length : after(part, lineEnd + lineEnd, 0);
  const head = part.subarray(0, end).toString();
  return { contentType: /^content-type:\s*(.*?)\s*$/im.exec(head)?.[1] ?? '', content: part.subarray(end) };
}
