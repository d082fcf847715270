import { readFile } from 'node:fs/promises';
import { AwsClient, GoogleAuth, IdentityPoolClient, JWT, UserRefreshClient } from 'google-auth-library';
import type { AuthClient } from 'google-auth-library';
import { abortReason, isPgsiloError, PgsiloError, redact, Secret, throwIfAborted } from '@pgsilo/plugin';
import { brokeOff, withoutRequest } from './errors.ts';

/** Else the library looks for the project of the credentials, which nobody needs: it runs gcloud and waits for services that may not answer. */
const projectId = 'not-needed';
const scopes = ['https://www.googleapis.com/auth/devstorage.read_write'];

/** What opens the bucket. */
export interface Login {
  /** Of a token that is renewed before it runs out. */
  headers(signal: AbortSignal): Promise<Record<string, string>>;
  /** After a token was refused: the next one is fetched anew. */
  renew(): void;
}

/** An emulator without credentials. */
export const anonymous: Login = { headers: async () => ({}), renew: () => {} };

/** @param keyFile absolute path; undefined: the application default credentials. */
export function openLogin(keyFile: string | undefined): Login {
  let client: Promise<AuthClient> | undefined;
  let token: string | undefined;
  const open = (): Promise<AuthClient> =>
    (client ??=
      keyFile === undefined ? new GoogleAuth({ scopes, projectId }).getClient() : fromFile(keyFile));
  return {
    async headers(signal) {
      throwIfAborted(signal);
      try {
        const found = await orAborted(
          open().then((opened) => opened.getRequestHeaders()),
          signal,
        );
        const headers = Object.fromEntries(found);
        const { authorization } = headers;
        // Remembered, so that no text from elsewhere shows it.
        if (authorization !== token) void new Secret((authorization ?? '').replace(/^Bearer /, ''));
        token = authorization;
        return headers;
      } catch (error) {
        client = undefined;
        throwIfAborted(signal);
        throw refused(error, keyFile);
      }
    },
    renew() {
      client = undefined;
    },
  };
}

async function fromFile(file: string): Promise<AuthClient> {
  let said: Record<string, unknown>;
  try {
    said = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
  } catch (error) {
    // What is no JSON may be a key: its text is not repeated.
    const { code } = error as NodeJS.ErrnoException;
    const reason = code ?? 'it is not JSON';
    throw new PgsiloError('config.invalid', `cannot read ${file}: ${reason}`, {
      option: 'keyFile',
      hint: 'Name a credentials file as Google Cloud gives it out, which this user may read.',
    });
  }
  const text = (name: string): string => {
    const value = said[name];
    return typeof value === 'string' ? value : '';
  };
  for (const name of ['private_key', 'refresh_token', 'client_secret'])
    if (text(name) !== '') void new Secret(text(name));
  switch (said['type']) {
    case 'service_account':
      return new JWT({
        email: text('client_email'),
        key: text('private_key'),
        keyId: text('private_key_id'),
        scopes,
      });
    case 'authorized_user':
      return new UserRefreshClient({
        clientId: text('client_id'),
        clientSecret: text('client_secret'),
        refreshToken: text('refresh_token'),
      });
    case 'external_account': {
      const settings = { ...said, scopes } as never;
      const { environment_id: cloud } = (said['credential_source'] ?? {}) as { environment_id?: string };
      return cloud?.startsWith('aws') ? new AwsClient(settings) : new IdentityPoolClient(settings);
    }
    default:
      throw new PgsiloError('config.invalid', `${file} holds credentials of an unknown type`, {
        option: 'keyFile',
        hint: 'Known are service_account, authorized_user and external_account; GOOGLE_APPLICATION_CREDENTIALS takes others.',
      });
  }
}

/** The library cannot be told to stop; what it finds later is not waited for. */
async function orAborted<T>(call: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop: (() => void) | undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => reject(abortReason(signal));
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([call, aborted]);
  } finally {
    if (stop) signal.removeEventListener('abort', stop);
  }
}

function refused(error: unknown, keyFile: string | undefined): unknown {
  if (isPgsiloError(error)) return error;
  const { response } = error as { response?: { status?: number } };
  const later = response?.status === undefined ? brokeOff(error) : response.status >= 500;
  const message = error instanceof Error ? error.message : String(error);
  return new PgsiloError(
    later ? 'sink.unreachable' : 'sink.denied',
    `cannot log in: ${redact(message.split('\n', 1)[0] ?? '')}`,
    {
      cause: withoutRequest(error),
      hint: keyFile
        ? 'Is the key in `keyFile` still valid, its account active, and the clock of this machine right?'
        : 'Give `keyFile`, set GOOGLE_APPLICATION_CREDENTIALS, or log in with `gcloud auth application-default login`.',
    },
  );
}
