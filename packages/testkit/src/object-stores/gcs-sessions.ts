import { randomBytes } from 'node:crypto';
import type { GcsBucket } from './gcs-buckets.ts';
import { claimsOf } from './gcs-checksums.ts';
import type { GcsObject, NewObject } from './gcs-object.ts';
import { GcsRefusal, refusals } from './gcs-refusal.ts';
import type { GcsRequest } from './gcs-request.ts';
import type { Conditions, GcsService } from './gcs-service.ts';

/** Bytes: what chunks are multiples of, and what is kept of one that broke off. */
export const quantum: number = 256 * 1024;
/** Milliseconds. */
const lifetime = 7 * 86_400_000;

interface Session {
  readonly bucket: GcsBucket;
  readonly said: NewObject;
  readonly conditions: Conditions;
  readonly begun: Date;
  /** From X-Upload-Content-Length. */
  readonly declared?: number;
  readonly pieces: Buffer[];
  bytes: number;
  cancelled: boolean;
  made?: GcsObject;
  /** Why it became no object: what was refused at its end is refused ever after. */
  failed?: GcsRefusal;
}

/** Where a session stands after a request. */
export type Progress =
  | { readonly made: GcsObject; readonly bucket: GcsBucket }
  | { readonly persisted: number };

/** Resumable uploads. A session is opened by its URI alone: whoever has it needs no token. */
export class GcsSessions {
  readonly #service: GcsService;
  readonly #sessions = new Map<string, Session>();

  constructor(service: GcsService) {
    this.#service = service;
  }

  /** Sessions that are neither finished nor cancelled. */
  get open(): number {
    return [...this.#sessions.values()].filter(
      ({ made, cancelled, failed }) => !made && !cancelled && !failed,
    ).length;
  }

  start(bucket: GcsBucket, said: NewObject, conditions: Conditions, declared: number | undefined): string {
    const id = randomBytes(24).toString('base64url');
    this.#sessions.set(id, {
      bucket,
      said,
      conditions,
      begun: this.#service.now(),
      ...(declared === undefined ? {} : { declared }),
      pieces: [],
      bytes: 0,
      cancelled: false,
    });
    return id;
  }

  cancel(id: string): never {
    const session = this.#find(id);
    if (session.made) throw refusals.invalid('The upload is complete and cannot be cancelled.');
    session.cancelled = true;
    session.pieces.length = 0;
    throw closedByClient();
  }

  /** A chunk, or a question. A chunk that breaks off leaves its whole multiples of 256 KiB, and the caller's error is thrown. */
  async put(id: string, { headers }: GcsRequest, body: AsyncIterable<Buffer>): Promise<Progress> {
    const session = this.#find(id);
    if (session.failed) throw session.failed;
    const range = rangeOf(headers['content-range']);
    if (session.made) {
      for await (const _ of body);
      return { made: session.made, bucket: session.bucket };
    }
    if (range.first !== undefined) {
      const { first, last } = range;
      if (first > session.bytes)
        throw invalid(
          `According to the Content-Range header, the upload offset is ${first} byte(s), which exceeds already uploaded size of ${session.bytes} byte(s).`,
        );
      if (last !== undefined && range.total !== undefined && last >= range.total)
        throw invalid(`The Content-Range header ends behind the size of ${range.total} byte(s).`);
      const final = last === undefined || last + 1 === range.total;
      if (!final && (last - first + 1) % quantum !== 0) throw unevenChunk(last - first + 1);
      await this.#take(session, first, last === undefined ? undefined : last - first + 1, body);
    } else await mustBeEmpty(body);
    const total = range.endless ? session.bytes : range.total;
    if (total === undefined) return { persisted: session.bytes };
    // A question that is mistaken about the size is told what is there.
    if (range.first === undefined && total !== session.bytes) return { persisted: session.bytes };
    if (session.declared !== undefined && session.declared !== total)
      throw invalid(
        `According to the Content-Range header, the final size of the upload is ${total} byte(s), and it began with ${session.declared}.`,
      );
    if (total < session.bytes)
      throw invalid(
        `According to the Content-Range header, the final size of the upload is ${total} byte(s), and there are ${session.bytes} already.`,
      );
    if (total > session.bytes) return { persisted: session.bytes };
    return { made: this.#finish(session, claimsOf(headers['x-goog-hash'])), bucket: session.bucket };
  }

  #find(id: string): Session {
    const session = this.#sessions.get(id);
    if (!session) throw refusals.noCall();
    if (session.cancelled) throw closedByClient();
    if (this.#service.now().getTime() - session.begun.getTime() > lifetime)
      throw new GcsRefusal(410, 'gone', 'Gone');
    return session;
  }

  /** @param said how many bytes there are to come; undefined: as many as come. */
  async #take(
    session: Session,
    first: number,
    said: number | undefined,
    body: AsyncIterable<Buffer>,
  ): Promise<void> {
    const taken: Buffer[] = [];
    // What is there already is not taken a second time.
    let skip = session.bytes - first;
    let bytes = 0;
    let all = 0;
    const keep = (most: number): void => {
      const kept = Buffer.concat(taken).subarray(0, most);
      session.pieces.push(kept);
      session.bytes += kept.length;
    };
    const before = session.bytes;
    try {
      for await (const chunk of body) {
        all += chunk.length;
        const some = chunk.subarray(Math.min(skip, chunk.length));
        skip -= chunk.length - some.length;
        taken.push(some);
        bytes += some.length;
      }
    } catch (error) {
      if (session.bytes === before) keep(Math.floor((before + bytes) / quantum) * quantum - before);
      throw error;
    }
    if (said !== undefined && all !== said)
      throw invalid(
        `There were ${all} byte(s) in the request body.  There should have been ${said} byte(s) according to the Content-Range header.`,
      );
    // Another connection of the same session may have been quicker.
    if (session.bytes === before) keep(bytes);
  }

  #finish(session: Session, claims: { crc32c?: string; md5Hash?: string }): GcsObject {
    const { bucket, said, conditions, pieces } = session;
    const content = Buffer.concat(pieces);
    pieces.length = 0;
    try {
      session.made = this.#service.insert(bucket, { ...said, ...claims }, content, conditions);
      return session.made;
    } catch (error) {
      if (error instanceof GcsRefusal) session.failed = error;
      throw error;
    }
  }
}

interface Range {
  readonly first?: number;
  readonly last?: number;
  readonly total?: number;
  /** All that comes is the rest. */
  readonly endless?: boolean;
}

function rangeOf(header: string | undefined): Range {
  if (header === undefined) return { first: 0, endless: true };
  const [, first, last, total] = /^bytes (?:(\d+)-(\d+|\*)|\*)\/(\d+|\*)$/.exec(header) ?? [];
  if (total === undefined) throw invalid(`The Content-Range header is malformed: ${header}`);
  const whole = total === '*' ? {} : { total: Number(total) };
  if (first === undefined) return whole;
  if (last === '*') return { first: Number(first), ...(total === '*' ? { endless: true } : whole) };
  if (Number(last) < Number(first)) throw invalid(`The Content-Range header is malformed: ${header}`);
  return { first: Number(first), last: Number(last), ...whole };
}

async function mustBeEmpty(body: AsyncIterable<Buffer>): Promise<void> {
  let bytes = 0;
  for await (const chunk of body) bytes += chunk.length;
  if (bytes > 0) throw invalid('Client sent query request with a non-empty body.');
}

function invalid(message: string): GcsRefusal {
  return new GcsRefusal(400, 'invalid', `Invalid request.  ${message}`);
}

function unevenChunk(bytes: number): GcsRefusal {
  return invalid(
    `The number of bytes uploaded is required to be equal or greater than 262144, except for the final request (it's recommended to be the exact multiple of 262144).  The received request contained ${bytes} bytes, which does not meet this requirement.`,
  );
}

function closedByClient(): GcsRefusal {
  return new GcsRefusal(499, 'clientClosedRequest', 'Client Closed Request');
}
