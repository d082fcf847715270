import { RestError } from '@azure/storage-blob';
import { attemptWith, isPgsiloError, PgsiloError, redact } from '@pgsilo/plugin';
import type { Attempt, ErrorCode } from '@pgsilo/plugin';

type Row = readonly [code: ErrorCode, hint: string];

const rights =
  "Are key or signature right and not expired, do they allow to read, add, create, write, delete and list, and does the account's firewall let this machine in?";
const elsewhere = 'Use the copy in another sink, or another backup.';
const tooLarge: Row = ['sink.too-large', 'Raise `limits.memory` and `blockSize` of the sink.'];
const exists: Row = ['sink.exists', 'Objects are never overwritten.'];

/** By the service's own codes, which say more than a status. A container that is not there is no missing object. */
const byCode: Readonly<Record<string, Row>> = {
  BlobAlreadyExists: exists,
  // The blocks of a writer who loses are dropped when the other one's object is made.
  InvalidBlockList: exists,
  BlobNotFound: ['sink.not-found', 'Was it removed, or are `container` and `prefix` others?'],
  ContainerNotFound: ['sink.missing', 'Create the container, or correct `container` in the pipeline file.'],
  ContainerBeingDeleted: ['sink.missing', 'Choose another container, or create it again in a minute.'],
  ContainerDisabled: ['sink.denied', 'Enable the container, or choose another one.'],
  AccountIsDisabled: ['sink.denied', 'Is the subscription of the account active?'],
  AuthenticationFailed: [
    'sink.denied',
    "Are key or signature right and not expired, and is this machine's clock right?",
  ],
  BlobArchived: ['sink.failed', 'Bring the object back from the archive tier first.'],
  BlobBeingRehydrated: [
    'sink.failed',
    'The object is on its way back from the archive tier; try again later.',
  ],
  InvalidRange: ['sink.corrupt', elsewhere],
  RequestBodyTooLarge: tooLarge,
  BlockCountExceedsLimit: tooLarge,
};

const byStatus: Readonly<Record<number, Row>> = {
  401: ['sink.denied', rights],
  403: ['sink.denied', rights],
  404: ['sink.not-found', 'Was it removed, or are `container` and `prefix` others?'],
  409: ['sink.failed', 'Run `pgsilo doctor` on the pipeline file.'],
  412: exists,
  416: ['sink.corrupt', elsewhere],
  429: ['sink.unreachable', 'The account is throttled; lower `limits.jobs`.'],
};

/** Does one thing with the store. */
export const attempt: Attempt = attemptWith(translate);

export function translate(error: unknown, doing: string): PgsiloError {
  if (isPgsiloError(error)) return error;
  const [code, hint] = rowOf(error);
  return new PgsiloError(code, `cannot ${doing}: ${reasonOf(error)}`, { cause: withoutRequest(error), hint });
}

function rowOf(error: unknown): Row {
  const reach: Row = [
    'sink.unreachable',
    'Check `endpoint` or `account`, the network, proxy and certificates.',
  ];
  const name = error instanceof Error ? error.name : '';
  // Of @azure/identity: no way to log in worked.
  if (/^(CredentialUnavailable|Authentication|AggregateAuthentication|AuthenticationRequired)/.test(name))
    return [
      'sink.denied',
      'Log in (`az login`, a managed identity, AZURE_CLIENT_ID …), or give `key` or `sas`.',
    ];
  // The SDK's name for a connection that broke while an object was read.
  if (name === 'AbortError') return reach;
  if (!(error instanceof RestError)) return ['sink.failed', 'Run `pgsilo doctor` on the pipeline file.'];
  const known = byCode[serviceCode(error) ?? ''] ?? byStatus[statusOf(error) ?? 0];
  if (known) return known;
  const status = statusOf(error);
  if (status === undefined || status >= 500) return reach;
  return ['sink.failed', 'Run `pgsilo doctor` on the pipeline file.'];
}

/** Undefined when there was no answer. */
export function statusOf(error: RestError): number | undefined {
  return error.statusCode ?? error.response?.status;
}

/** An answer to HEAD has no body: there the code is a header. */
export function serviceCode(error: RestError): string | undefined {
  return error.response?.headers.get('x-ms-error-code') ?? error.code;
}

/** The first line: what follows are request ids and times. */
function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const line = text.split('\n', 1)[0]?.trim() ?? '';
  const code = error instanceof RestError ? serviceCode(error) : undefined;
  if (code === undefined || line.includes(code)) return redact(line || 'no reason given');
  return redact(line ? `${line} (${code})` : code);
}

/** The SDK hangs the whole request on its errors, with its signature: only what support asks for is kept. */
function withoutRequest(error: unknown): Error {
  const plain = new Error(redact(error instanceof Error ? error.message : String(error)));
  if (!(error instanceof Error)) return plain;
  plain.name = error.name;
  if (error instanceof RestError) Object.assign(plain, { status: statusOf(error), code: serviceCode(error) });
  return plain;
}
