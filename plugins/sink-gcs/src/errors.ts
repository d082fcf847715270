import { attemptWith, isPgsiloError, PgsiloError, redact } from '@pgsilo/plugin';
import type { Attempt, ErrorCode } from '@pgsilo/plugin';

type Row = readonly [code: ErrorCode, hint: string];

/** An answer of the service that is no success. */
export class AnswerError extends Error {
  override readonly name = 'AnswerError';
  readonly status: number;
  /** The service's own word, which says more than a status; empty where it said none. */
  readonly reason: string;

  constructor(status: number, reason: string, message: string) {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}

const doctor = 'Run `pgsilo doctor` on the pipeline file.';
const rights =
  'The credentials need storage.objects.create, get, list and delete on the bucket (the role Storage Object User), and the key service the right to use the key.';
const elsewhere = 'Use the copy in another sink, or another backup.';
const login =
  'Give `keyFile`, set GOOGLE_APPLICATION_CREDENTIALS, or log in with `gcloud auth application-default login`.';
const reach: Row = ['sink.unreachable', 'Check `apiEndpoint`, the network, proxy and certificates.'];
const busy: Row = ['sink.unreachable', 'The service is busy; lower `limits.jobs`.'];
const billing: Row = [
  'sink.denied',
  'Is the billing account of the project active, and the storage enabled?',
];
const missing: Row = ['sink.missing', 'Create the bucket, or correct `bucket` in the pipeline file.'];
const absent: Row = ['sink.not-found', 'Was it removed, or are `bucket` and `prefix` others?'];
const unknown: Row = ['sink.failed', doctor];

const byReason: Readonly<Record<string, Row>> = {
  rateLimitExceeded: busy,
  userRateLimitExceeded: busy,
  accountDisabled: billing,
  billingNotEnabled: billing,
  accessNotConfigured: billing,
  userProjectMissing: ['sink.denied', 'Say with `projectId` who is billed.'],
  quotaExceeded: ['sink.full', 'Raise the quota of the project.'],
  uploadTooLarge: ['sink.too-large', 'The service takes no larger object.'],
};

const byStatus: Readonly<Record<number, Row>> = {
  // It would be refused again: the description of an object, not its bytes.
  400: [
    'sink.denied',
    'Does the service take `storageClass`, `kmsKeyName`, `projectId` and `bucket` as they are?',
  ],
  401: ['sink.denied', login],
  403: ['sink.denied', rights],
  404: absent,
  408: reach,
  412: ['sink.exists', 'Objects are never overwritten.'],
  413: ['sink.too-large', 'The service takes no larger object.'],
  416: ['sink.corrupt', elsewhere],
  429: busy,
  507: ['sink.full', 'Free space or raise the quota.'],
};

/** Does one thing with the store. */
export const attempt: Attempt = attemptWith(translate);

export function translate(error: unknown, doing: string): PgsiloError {
  if (isPgsiloError(error)) return error;
  const [code, hint] = rowOf(error);
  return new PgsiloError(code, `cannot ${doing}: ${reasonOf(error)}`, { cause: withoutRequest(error), hint });
}

function rowOf(error: unknown): Row {
  if (!(error instanceof AnswerError)) return brokeOff(error) ? reach : unknown;
  const { status, reason, message } = error;
  if (saysNoBucket(error)) return missing;
  // Bytes that changed on their way: the next try sends others.
  if (saysChanged(error)) return unknown;
  if (status === 400 && /user project/i.test(message)) return byReason['userProjectMissing'] ?? unknown;
  return byReason[reason] ?? byStatus[status] ?? (status >= 500 ? reach : unknown);
}

/** A bucket that is not there is no missing object. */
export function saysNoBucket(error: unknown): boolean {
  return error instanceof AnswerError && error.status === 404 && /bucket does not exist/i.test(error.message);
}

export function saysNoObject(error: unknown): boolean {
  return error instanceof AnswerError && error.status === 404 && /^No such object/i.test(error.message);
}

function saysChanged({ status, message }: AnswerError): boolean {
  return status === 400 && /doesn't match calculated/.test(message);
}

/** Whether the same request may succeed a moment later. */
export function mayPass(error: unknown): boolean {
  if (!(error instanceof AnswerError)) return brokeOff(error);
  const { status, reason } = error;
  return status === 408 || status === 429 || status >= 500 || /rateLimitExceeded$/i.test(reason);
}

/** Whether there was no answer, or only a part of one. */
export function brokeOff(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof AnswerError || isPgsiloError(error)) return false;
  const code = (error as NodeJS.ErrnoException).code ?? '';
  return (
    error.name === 'AbortError' ||
    /^(E[A-Z]+|ERR_STREAM_PREMATURE_CLOSE|ERR_TLS.*|ERR_SSL.*|ERR_PROXY.*|CERT_.*|.*_CERT.*|UNABLE_TO_.*|HPE_.*)$/.test(
      code,
    ) ||
    /socket hang up|aborted/.test(error.message)
  );
}

/** The first line: what follows are details for machines. */
function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const line = text.split('\n', 1)[0]?.trim() ?? '';
  if (!(error instanceof AnswerError)) return redact(line || 'no reason given');
  const word = error.reason === '' ? `answer ${error.status}` : `${error.status} ${error.reason}`;
  return redact(line === '' ? word : `${line} (${word})`);
}

/** Errors of libraries carry requests with their tokens: only what support asks for is kept. */
export function withoutRequest(error: unknown): Error {
  const plain = new Error(redact(error instanceof Error ? error.message : String(error)));
  if (!(error instanceof Error)) return plain;
  plain.name = error.name;
  const { code } = error as { code?: unknown };
  if (typeof code === 'string') Object.assign(plain, { code });
  if (error instanceof AnswerError) Object.assign(plain, { status: error.status, reason: error.reason });
  return plain;
}
