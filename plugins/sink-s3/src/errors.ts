import { attemptWith, isPgsiloError, PgsiloError, redact } from '@pgsilo/plugin';
import type { Attempt, ErrorCode } from '@pgsilo/plugin';

type Row = readonly [code: ErrorCode, hint: string];

const doctor = 'Run `pgsilo doctor` on the pipeline file.';
const rights =
  'Does the policy of key, bucket and key service allow to put, get, list and delete objects, and to abort uploads?';
const elsewhere = 'Use the copy in another sink, or another backup.';
const login =
  'Give `accessKeyId` and `secretAccessKey`, a `profile`, or the credentials that the environment or the machine should have.';
const key = 'Are `accessKeyId` and `secretAccessKey` right, or what the environment says instead?';
const expired =
  'The credentials have run out. Let the SDK find some that renew themselves (a profile, web identity, the instance), or give new ones.';
const clock = "Set this machine's clock right.";
const region = 'Set `region` to the region of the bucket.';
const cold =
  'The object lies in an archive class. Ask the store to bring it back first (`aws s3api restore-object`), then try again hours later.';
const full = 'Free space or raise the quota of the account.';
const tooLarge = 'Raise `partSize` of the sink, and `limits.memory`.';
const lock = 'Turn on object lock for the bucket, or leave out `objectLock`.';
const bucketLock =
  'The bucket locks what is put into it. Give `objectLock: { mode: bucket }`, and each object carries the checksum that this asks for.';
const reach: Row = [
  'sink.unreachable',
  'Check `endpoint`, `region`, the network, proxy and certificates. A bucket that is not in the name of the host needs `pathStyle: true`.',
];
const busy: Row = ['sink.unreachable', 'The store is busy; lower `limits.jobs` or `concurrency`.'];
const exists: Row = ['sink.exists', 'Objects are never overwritten.'];
const absent: Row = ['sink.not-found', 'Was it removed, or are `bucket` and `prefix` others?'];

/** By the names that the protocol gives, which say more than a status. A bucket that is not there is no missing object. */
const byName: Readonly<Record<string, Row>> = {
  NoSuchBucket: ['sink.missing', 'Create the bucket, or correct `bucket` in the pipeline file.'],
  NoSuchKey: absent,
  NoSuchVersion: absent,
  NotFound: absent,
  NoSuchUpload: [
    'sink.failed',
    'Somebody else has ended the upload: a lifecycle rule of the bucket, or a clean-up. Give uploads more time there.',
  ],
  PermanentRedirect: ['sink.missing', region],
  TemporaryRedirect: ['sink.missing', region],
  AuthorizationHeaderMalformed: ['sink.missing', region],
  IllegalLocationConstraintException: ['sink.missing', region],
  AccessDenied: ['sink.denied', rights],
  AllAccessDisabled: ['sink.denied', rights],
  AccountProblem: ['sink.denied', 'Is the account active?'],
  CredentialsProviderError: ['sink.denied', login],
  InvalidAccessKeyId: ['sink.denied', key],
  SignatureDoesNotMatch: ['sink.denied', key],
  InvalidToken: ['sink.denied', key],
  ExpiredToken: ['sink.denied', expired],
  ExpiredTokenException: ['sink.denied', expired],
  TokenRefreshRequired: ['sink.denied', expired],
  RequestTimeTooSkewed: ['sink.denied', clock],
  RequestExpired: ['sink.denied', clock],
  InvalidObjectState: ['sink.denied', cold],
  NotImplemented: [
    'sink.denied',
    'The store does not know what is asked of it: are `encryption`, `tags`, `storageClass` and `objectLock` for it?',
  ],
  InvalidStorageClass: ['sink.denied', 'The store has no such `storageClass`.'],
  ObjectLockConfigurationNotFoundError: ['sink.denied', lock],
  PreconditionFailed: exists,
  ConditionalRequestConflict: ['sink.unreachable', 'Somebody else writes the same object.'],
  OperationAborted: busy,
  SlowDown: busy,
  Throttling: busy,
  RequestTimeout: reach,
  TimeoutError: reach,
  InternalError: reach,
  ServiceUnavailable: busy,
  EntityTooLarge: ['sink.too-large', tooLarge],
  InvalidRange: ['sink.corrupt', elsewhere],
  QuotaExceeded: ['sink.full', full],
  InsufficientStorage: ['sink.full', full],
  InsufficientCapacity: ['sink.full', full],
  StorageQuotaExceeded: ['sink.full', full],
  StorageCapExceeded: ['sink.full', full],
  XMinioStorageFull: ['sink.full', full],
};

const byStatus: Readonly<Record<number, Row>> = {
  301: ['sink.missing', region],
  401: ['sink.denied', rights],
  403: ['sink.denied', rights],
  404: absent,
  412: exists,
  416: ['sink.corrupt', elsewhere],
  429: busy,
  501: ['sink.denied', doctor],
  507: ['sink.full', full],
};

/** Does one thing with the store. */
export const attempt: Attempt = attemptWith(translate);

export function translate(error: unknown, doing: string): PgsiloError {
  if (isPgsiloError(error)) return error;
  const [code, hint] = rowOf(error);
  return new PgsiloError(code, `cannot ${doing}: ${reasonOf(error)}`, { cause: withoutRequest(error), hint });
}

function rowOf(error: unknown): Row {
  const name = nameOf(error) ?? '';
  const status = statusOf(error);
  const known = byName[name] ?? (name.startsWith('KMS.') ? (['sink.denied', rights] as const) : undefined);
  if (known) return known;
  const text = error instanceof Error ? error.message : '';
  if (text.startsWith('Checksum mismatch')) return ['sink.corrupt', elsewhere];
  if (/Region is missing/.test(text)) return ['sink.denied', region];
  if (/Content-MD5|checksum/i.test(text) && /object lock/i.test(text)) return ['sink.denied', bucketLock];
  if (/object lock/i.test(text)) return ['sink.denied', lock];
  if (status !== undefined) return byStatus[status] ?? (status >= 500 ? reach : ['sink.failed', doctor]);
  return brokeOff(error) ? reach : ['sink.failed', doctor];
}

/** Whether there was no answer, or only a part of one. */
export function brokeOff(error: unknown): boolean {
  if (!(error instanceof Error) || statusOf(error) !== undefined) return false;
  const code = (error as NodeJS.ErrnoException).code ?? '';
  return (
    error.name === 'TimeoutError' ||
    error.name === 'AbortError' ||
    /^(E(?!RR_)[A-Z_]+|ERR_STREAM_PREMATURE_CLOSE|ERR_TLS.*|ERR_SSL.*|CERT_.*|.*_CERT.*|UNABLE_TO_.*|HPE_.*)$/.test(
      code,
    ) ||
    /socket hang up|aborted|^Connection lost/.test(error.message)
  );
}

/** The protocol's name for what went wrong; a HEAD has no body that would tell it. */
export function nameOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { Code } = error as { Code?: unknown };
  return typeof Code === 'string' ? Code : error.name;
}

/** Undefined when there was no answer. */
export function statusOf(error: unknown): number | undefined {
  const metadata = error instanceof Error && '$metadata' in error ? (error.$metadata as Metadata) : undefined;
  return metadata?.httpStatusCode;
}

interface Metadata {
  readonly httpStatusCode?: number;
  readonly requestId?: string;
}

function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const line = text.split('\n', 1)[0]?.trim() ?? '';
  const code = error instanceof Error ? (nameOf(error) ?? '') : '';
  const status = statusOf(error);
  const said = line === '' || /^Unknown(Error)?$/.test(line) ? `answer ${status ?? 'missing'}` : line;
  return redact(code === '' || code === 'Error' || said.includes(code) ? said : `${said} (${code})`);
}

/** The SDK hangs request and answer on its errors, with signatures: only what support asks for is kept. */
function withoutRequest(error: unknown): Error {
  const plain = new Error(redact(error instanceof Error ? error.message : String(error)));
  if (!(error instanceof Error)) return plain;
  plain.name = error.name;
  const { $metadata, code } = error as { $metadata?: Metadata; code?: unknown };
  const { httpStatusCode: status, requestId } = $metadata ?? {};
  return Object.assign(plain, {
    ...(typeof code === 'string' ? { code } : {}),
    ...(status === undefined ? {} : { status }),
    ...(requestId === undefined ? {} : { requestId }),
  });
}
