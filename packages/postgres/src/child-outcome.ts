import { PgsiloError, type ErrorCode } from '@pgsilo/plugin';

/** How a child ended. */
export interface Outcome {
  readonly failed: boolean;
  readonly exitCode?: number;
  readonly signal?: string;
  /** Nobody knows: the process that started it for pgsilo was ended. */
  readonly lost?: true;
  /** Set when it could not be started. */
  readonly code?: string;
  readonly cause?: unknown;
}

const shownLines = 8;

/** What shells, env, docker, kubectl and ssh exit with when a command is not there or cannot be run. */
const notFound = [126, 127];
const missing: [ErrorCode, string] = [
  'source.tool-missing',
  'Install the client programs there, or set bin: to their folder.',
];

/** What a client program that runs here needs of our environment; all PG* settings come in its arguments. */
const passedVariables =
  `PATH HOME USER LOGNAME TMPDIR TZ LD_LIBRARY_PATH DYLD_LIBRARY_PATH KRB5CCNAME KRB5_CONFIG KRB5_CLIENT_KTNAME OPENSSL_CONF
  SSL_CERT_FILE SSL_CERT_DIR`.split(/\s+/);

/**
 * The environment of a child. A program of PostgreSQL gets little, so that nothing of ours changes what it does or shows secrets of the pipeline;
 * a command prefix (docker, kubectl, ssh) gets all but PG*, because nobody knows what it needs.
 */
export function childEnvironment(
  prefixed: boolean,
  extra: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const entries = Object.entries(process.env).filter(
    ([name, value]) =>
      value !== undefined && (prefixed ? !name.startsWith('PG') : passedVariables.includes(name)),
  ) as [string, string][];
  // English and plain: messages are looked at.
  return { ...Object.fromEntries(entries), ...(prefixed ? {} : { LC_ALL: 'C' }), ...extra };
}

/** How a program ended that ran. */
export function exited(exitCode: number | null, signal: string | null): Outcome {
  return signal === null ? { failed: exitCode !== 0, exitCode: exitCode ?? -1 } : { failed: true, signal };
}

/** How a program ended that could not be started. */
export function notStarted(cause: NodeJS.ErrnoException): Outcome {
  return { failed: true, ...(cause.code === undefined ? {} : { code: cause.code }), cause };
}

/** The error for a child that failed, with its last words. */
export function failureOf(doing: string, file: string, outcome: Outcome, stderr: string): PgsiloError {
  if (outcome.lost)
    return new PgsiloError(
      'source.incomplete',
      `${doing}: the process that started it for pgsilo was ended`,
      {
        hint: 'Look into the kernel log: was memory short? pgsilo starts programs by itself from now on.',
      },
    );
  if (outcome.exitCode === undefined && outcome.signal === undefined) {
    return new PgsiloError(
      'source.tool-missing',
      `${doing}: ${file} could not be started (${outcome.code ?? 'unknown error'})`,
      {
        cause: outcome.cause,
        hint: 'Install the program, or correct bin: or exec:.',
      },
    );
  }
  const how =
    outcome.signal === undefined
      ? `exited with status ${outcome.exitCode}`
      : `was ended by ${outcome.signal}`;
  const words = stderr.trim().split('\n').slice(-shownLines).join('\n');
  const [code, hint] = notFound.includes(outcome.exitCode ?? 0) ? missing : classify(stderr);
  return new PgsiloError(code, `${doing} ${how}${words ? `: ${words}` : ' without a word'}`, {
    cause: outcome.cause,
    ...(hint ? { hint } : {}),
  });
}

function classify(stderr: string): [ErrorCode, string?] {
  // pg_dump bounds its LOCK TABLE by a statement timeout.
  if (/due to lock timeout|could not obtain lock|due to statement timeout[^]*LOCK TABLE/.test(stderr)) {
    return [
      'source.lock-timeout',
      'A migration or a long transaction holds a lock: wait for it, or raise lockTimeout.',
    ];
  }
  if (/password authentication failed|no password supplied|no pg_hba\.conf entry/.test(stderr)) {
    return [
      'source.denied',
      'The client program was refused at login: check password and pg_hba.conf, and with exec: how the far side logs in.',
    ];
  }
  if (/permission denied|must be superuser|query would be affected by row-level security/.test(stderr)) {
    return [
      'source.denied',
      'The role may not read everything: grant pg_read_all_data, and BYPASSRLS where there is row-level security.',
    ];
  }
  if (/server version mismatch/.test(stderr))
    return ['source.tool-version', 'Install the client programs of the version of the server.'];
  return ['source.incomplete'];
}
