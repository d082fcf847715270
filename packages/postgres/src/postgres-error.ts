import { isPgsiloError, PgsiloError, redact, type ErrorCode } from '@pgsilo/plugin';

interface ForeignError {
  readonly message: string;
  /** SQLSTATE of a server's error, or the code of an error of Node. */
  readonly code?: unknown;
  readonly severity?: unknown;
  readonly detail?: unknown;
  readonly errors?: unknown;
}

const networkCodes = new Set(
  `ECONNREFUSED ECONNRESET ENOTFOUND EAI_AGAIN ETIMEDOUT EPIPE EHOSTUNREACH ENETUNREACH EHOSTDOWN ENETDOWN ECONNABORTED EADDRNOTAVAIL
  ENOENT EACCES ERR_STREAM_DESTROYED ERR_STREAM_WRITE_AFTER_END`.split(/\s+/),
);

/** Whether the server itself reported it, with an SQLSTATE. */
export function sqlState(error: unknown): string | undefined {
  const { code, severity } = (error ?? {}) as ForeignError;
  return typeof code === 'string' && typeof severity === 'string' ? code : undefined;
}

/**
 * Gives an error of the server or of the way to it a code. `doing` is what failed, as a clause: `cannot list the databases of db:5432`.
 * A `PgsiloError` comes back as it is.
 */
export function translatePostgresError(error: unknown, doing: string): PgsiloError {
  if (isPgsiloError(error)) return error;
  const foreign = (error instanceof Error ? error : new Error(String(error))) as ForeignError & Error;
  const state = sqlState(error);
  const message = redact(`${doing}: ${wordsOf(foreign)}${state ? ` (SQLSTATE ${state})` : ''}`);
  const [code, hint] = state ? classifyState(state) : classifyNetwork(foreign);
  return new PgsiloError(code, message, { cause: error, ...(hint ? { hint } : {}) });
}

function wordsOf(error: ForeignError & Error): string {
  // Connecting to a name with several addresses throws an AggregateError whose own message is empty.
  const inner = Array.isArray(error.errors)
    ? error.errors.map((one: unknown) => (one as Error).message).join('; ')
    : '';
  const detail = typeof error.detail === 'string' && error.detail ? `: ${error.detail}` : '';
  return ((error.message || inner || error.name) + detail).replaceAll(/\s*\n\s*/g, ' ');
}

function classifyState(state: string): [ErrorCode, string?] {
  if (state === '28P01') return ['source.denied', 'Check the password in the connection string.'];
  if (state.startsWith('28')) return ['source.denied', 'Check the role and pg_hba.conf on the server.'];
  if (state === '42501')
    return ['source.denied', 'Grant the role what the message names; pg_read_all_data reads everything.'];
  if (state === '3D000') return ['source.unit-missing'];
  if (state === '55P03')
    return [
      'source.lock-timeout',
      'Wait for the migration or long transaction that holds the lock, or raise lockTimeout.',
    ];
  if (state === '53300')
    return [
      'source.unreachable',
      'The server has no connection left: lower limits.jobs or raise max_connections.',
    ];
  if (state.startsWith('57P') || state.startsWith('08'))
    return ['source.unreachable', 'Check that the server runs and stays up.'];
  return ['source.failed'];
}

function classifyNetwork(error: ForeignError): [ErrorCode, string?] {
  const { code, message } = error;
  if (/the server wants a password/.test(message)) {
    return [
      'source.denied',
      'Give it in the connection string, in PGPASSWORD, or in a password file (~/.pgpass) with mode 0600.',
    ];
  }
  if (typeof code === 'string' && networkCodes.has(code))
    return ['source.unreachable', 'Check host, port, network and that the server runs.'];
  if (typeof code === 'string' && /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_|SELF_SIGNED|UNABLE_TO|EPROTO)/.test(code)) {
    return ['source.denied', "The server's certificate is not trusted: check sslmode and sslrootcert."];
  }
  if (/does not support SSL|establishing an SSL/.test(message))
    return ['source.denied', 'sslmode asks for TLS and the server has none.'];
  if (/SASL|SCRAM/.test(message)) return ['source.denied', 'Check the password in the connection string.'];
  if (/timeout expired/.test(message)) {
    return [
      'source.unreachable',
      'Nothing answered in time: check host, port and firewall, or raise connect_timeout in the connection string.',
    ];
  }
  if (/[Cc]onnection terminated|not queryable|Client was closed/.test(message)) {
    return ['source.unreachable', 'The connection broke: check the network and the log of the server.'];
  }
  if (Array.isArray(error.errors))
    return ['source.unreachable', 'Check host, port, network and that the server runs.'];
  return ['source.failed'];
}
