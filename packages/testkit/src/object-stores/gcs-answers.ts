import { bucketResource } from './gcs-buckets.ts';
import type { GcsBucket } from './gcs-buckets.ts';
import { insertWhole } from './gcs-inserts.ts';
import { listPage } from './gcs-listing.ts';
import { mustBeSound, objectResource } from './gcs-object.ts';
import type { GcsObject } from './gcs-object.ts';
import { patchObject } from './gcs-patch.ts';
import { contentOf } from './gcs-reading.ts';
import { GcsRefusal, refusals } from './gcs-refusal.ts';
import { conditionsIn, describedBy, numberIn, partOf, resourceIn } from './gcs-request.ts';
import type { GcsRequest } from './gcs-request.ts';
import { mustHold, mustMatchEtag } from './gcs-service.ts';
import type { GcsService } from './gcs-service.ts';
import type { GcsSessions } from './gcs-sessions.ts';
import type { GcsTokens } from './gcs-tokens.ts';

interface Parts {
  readonly service: GcsService;
  readonly sessions: GcsSessions;
  readonly tokens: GcsTokens;
  readonly endpoint: string;
}

export interface GcsAnswer {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly content: Buffer;
}

/** Does what a request asks for. Throws a {@link GcsRefusal}, or whatever broke its body off. */
export async function answerGcs(
  parts: Parts,
  request: GcsRequest,
  body: AsyncIterable<Buffer>,
): Promise<GcsAnswer> {
  const { service, sessions, tokens } = parts;
  const { call, query, headers } = request;
  if (call === 'token') {
    const { status, body: said } = tokens.exchange(new URLSearchParams(await textOf(body)));
    return json(said, status);
  }
  const session = query.get('upload_id');
  // The URI of a session is all that is needed; a token that comes with it must be good.
  if (headers.authorization === undefined) {
    if (session === null) throw refusals.noLogin();
  } else if (!tokens.accepts(headers.authorization)) throw refusals.badLogin();
  switch (call) {
    case 'unknown':
      throw refusals.noCall();
    case 'new bucket':
      return json(bucketResource(newBucket(service, query, resourceIn(await textOf(body)))));
    case 'cancel':
      return sessions.cancel(session ?? '');
    case 'chunk':
    case 'status': {
      const progress = await sessions.put(session ?? '', request, body);
      if ('made' in progress) return json(objectResource(progress.made, progress.bucket, parts.endpoint));
      const { persisted } = progress;
      const range: Record<string, string> = persisted === 0 ? {} : { range: `bytes=0-${persisted - 1}` };
      return { status: 308, headers: range, content: Buffer.alloc(0) };
    }
    default:
      return answerInBucket(parts, request, body);
  }
}

async function answerInBucket(
  { service, sessions, endpoint }: Parts,
  request: GcsRequest,
  body: AsyncIterable<Buffer>,
): Promise<GcsAnswer> {
  const { call, query, headers, name } = request;
  const bucket = service.bucket(request.bucket);
  const payer = query.get('userProject') ?? headers['x-goog-user-project'];
  if (bucket.settings.requesterPays && payer === undefined)
    throw new GcsRefusal(400, 'required', 'Bucket is a requester pays bucket but no user project provided.');
  const fields = query.get('fields');
  const conditions = conditionsIn(query);
  const generation = numberIn(query, 'generation');
  const described = (object: GcsObject): GcsAnswer =>
    json(partOf(objectResource(object, bucket, endpoint), fields));
  switch (call) {
    case 'bucket':
      return json(partOf(bucketResource(bucket), fields));
    case 'list':
      return json(partOf(listPage(bucket, query, endpoint), fields));
    case 'insert':
      return described(insertWhole(service, bucket, request, await whole(body)));
    case 'start': {
      const said = describedBy(await textOf(body), query);
      mustBeSound(said, bucket);
      const type = headers['x-upload-content-type'];
      const contentType = typeof type === 'string' ? { contentType: type } : {};
      const length = lengthIn(headers['x-upload-content-length']);
      const id = sessions.start(bucket, { ...contentType, ...said }, conditions, length);
      const location = `${endpoint}/upload/storage/v1/b/${bucket.name}/o?uploadType=resumable&upload_id=${id}`;
      return { status: 200, headers: { location, 'x-guploader-uploadid': id }, content: Buffer.alloc(0) };
    }
    case 'delete':
      mustMatchEtag(headers, service.find(bucket, name, generation));
      service.remove(bucket, name, generation, conditions);
      return { status: 204, headers: {}, content: Buffer.alloc(0) };
    case 'patch': {
      const object = service.find(bucket, name, generation);
      mustHold(conditions, object);
      mustMatchEtag(headers, object);
      patchObject(object, bucket, resourceIn(await textOf(body)), query, service.now());
      return described(object);
    }
    default: {
      const object = service.find(bucket, name, generation);
      mustHold(conditions, object, 'reading');
      mustMatchEtag(headers, object, 'reading');
      return call === 'read' ? contentOf(object, bucket, headers) : described(object);
    }
  }
}

function newBucket(service: GcsService, query: URLSearchParams, said: Record<string, unknown>): GcsBucket {
  if (!query.has('project')) throw refusals.required('project');
  const { name, versioning } = said as { name?: unknown; versioning?: { enabled?: unknown } };
  if (typeof name !== 'string' || name === '') throw refusals.required('name');
  if (service.buckets.has(name))
    throw new GcsRefusal(
      409,
      'conflict',
      'Your previous request to create the named bucket succeeded and you already own it.',
    );
  return service.createBucket(name, { versioning: versioning?.enabled === true });
}

function lengthIn(header: string | string[] | undefined): number | undefined {
  if (header === undefined) return undefined;
  if (typeof header !== 'string' || !/^\d{1,15}$/.test(header))
    throw refusals.invalid('Invalid value of X-Upload-Content-Length.');
  return Number(header);
}

async function textOf(body: AsyncIterable<Buffer>): Promise<string> {
  return String(await whole(body));
}

async function whole(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function json(value: object, status = 200): GcsAnswer {
  return {
    status,
    headers: { 'content-type': 'application/json; charset=UTF-8' },
    content: Buffer.from(JSON.stringify(value)),
  };
}
