import type { IncomingMessage } from 'node:http';
import { refusals } from './gcs-refusal.ts';
import type { Conditions } from './gcs-service.ts';
import type { NewObject } from './gcs-object.ts';

/** What a request is about, for those who decide about its fate. */
export type GcsCall =
  | 'bucket'
  | 'new bucket'
  | 'insert'
  | 'start'
  | 'chunk'
  | 'status'
  | 'cancel'
  | 'stat'
  | 'read'
  | 'patch'
  | 'delete'
  | 'list'
  | 'token'
  | 'unknown';

/** A request, read as far as its head goes. */
export interface GcsRequest {
  readonly call: GcsCall;
  readonly url: URL;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly bucket: string;
  /** Of an object, decoded; empty where the path names none. */
  readonly name: string;
  readonly message: IncomingMessage;
}

const objectPath = /^(?:\/download)?\/storage\/v1\/b\/([^/]+)\/o\/([^/]+)$/;
/** With the path of uploads that the discovery document names for sessions. */
const objectsPath = /^((?:\/resumable)?\/upload)?\/storage\/v1\/b\/([^/]+)\/o\/?$/;
const bucketPath = /^\/storage\/v1\/b(?:\/([^/]+))?\/?$/;

export function readRequest(message: IncomingMessage): GcsRequest {
  const url = new URL(message.url ?? '/', 'http://host');
  const query = url.searchParams;
  const { method = 'GET', headers } = message;
  const [, ofObject, name = ''] = objectPath.exec(url.pathname) ?? [];
  const [, upload, ofObjects] = objectsPath.exec(url.pathname) ?? [];
  const bucket = bucketPath.exec(url.pathname);
  const about = {
    url,
    query,
    headers,
    bucket: decode(ofObject ?? ofObjects ?? bucket?.[1] ?? ''),
    name: decode(name),
    message,
  };
  const call = (): GcsCall => {
    if (url.pathname === '/v1/token') return 'token';
    if (upload && query.has('upload_id')) {
      if (method === 'DELETE') return 'cancel';
      if (method !== 'PUT') return 'unknown';
      return headers['content-range']?.startsWith('bytes */') ? 'status' : 'chunk';
    }
    if (upload) {
      if (method !== 'POST') return 'unknown';
      return query.get('uploadType') === 'resumable' ? 'start' : 'insert';
    }
    if (ofObjects !== undefined) return method === 'GET' ? 'list' : 'unknown';
    if (ofObject !== undefined) {
      if (method === 'GET') return query.get('alt') === 'media' ? 'read' : 'stat';
      return method === 'DELETE' ? 'delete' : method === 'PATCH' ? 'patch' : 'unknown';
    }
    if (bucket && method === 'POST') return bucket[1] === undefined ? 'new bucket' : 'unknown';
    return bucket?.[1] !== undefined && method === 'GET' ? 'bucket' : 'unknown';
  };
  return { ...about, call: call() };
}

/** Names come in one piece of the path, their slashes written %2F. */
function decode(piece: string): string {
  try {
    return decodeURIComponent(piece);
  } catch {
    throw refusals.invalid(`Invalid escape in ${piece}`);
  }
}

/** Clients in Python write True. */
export function isSet(query: URLSearchParams, name: string): boolean {
  return query.get(name)?.toLowerCase() === 'true';
}

export function numberIn(query: URLSearchParams, name: string): bigint | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (!/^-?\d{1,19}$/.test(text))
    throw refusals.invalid(`Invalid value '${text}' of ${name}: expected a whole number`);
  return BigInt(text);
}

export function conditionsIn(query: URLSearchParams): Conditions {
  const names = [
    'ifGenerationMatch',
    'ifGenerationNotMatch',
    'ifMetagenerationMatch',
    'ifMetagenerationNotMatch',
  ];
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = numberIn(query, name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

/** A body of JSON; an empty one says nothing. */
export function resourceIn(text: string): Record<string, unknown> {
  let said: unknown = {};
  try {
    if (text.trim() !== '') said = JSON.parse(text);
  } catch {
    throw refusals.parseError();
  }
  if (typeof said !== 'object' || said === null || Array.isArray(said)) throw refusals.parseError();
  return said as Record<string, unknown>;
}

/** The description of a new object, from a body of JSON; the query goes before it. */
export function describedBy(text: string, query: URLSearchParams): NewObject {
  const said = resourceIn(text);
  const name = query.get('name') ?? said['name'];
  if (typeof name !== 'string' || name === '') throw refusals.required('name');
  const named = ['kmsKeyName', 'contentEncoding'].flatMap((key) => {
    const value = query.get(key);
    return value === null ? [] : [[key, value]];
  });
  return { ...said, name, ...Object.fromEntries(named) };
}

/** Of `fields=a,items(b,c/d),items/e` what the paths name, at the top and below; the rest of the syntax is not known here. */
export function partOf(resource: Record<string, unknown>, fields: string | null): Record<string, unknown> {
  if (fields === null || fields === '*') return resource;
  const wanted = new Map<string, string[]>();
  for (const [, name = '', list, below] of fields.matchAll(/([\w-]+)(?:\(([^)]*)\)|\/([\w/-]+))?/g))
    wanted.set(name, [...(wanted.get(name) ?? []), list ?? below ?? '*']);
  const picked: Record<string, unknown> = {};
  for (const [name, paths] of wanted) {
    const value = resource[name];
    const inner = paths.includes('*') ? null : paths.join(',');
    const pick = (one: unknown): unknown => partOf(one as Record<string, unknown>, inner);
    if (value === undefined) continue;
    if (inner === null) picked[name] = value;
    else picked[name] = Array.isArray(value) ? value.map(pick) : pick(value);
  }
  return picked;
}
