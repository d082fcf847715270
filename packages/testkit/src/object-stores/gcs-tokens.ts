import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Seconds. */
const lifetime = 3600;

/** The service that gives out tokens, as workload identity federation asks it: a subject's token becomes one for the storage. */
export class GcsTokens {
  readonly #subject: string = randomBytes(16).toString('hex');
  readonly #valid = new Set<string>();
  /** Of the tokens that were given out. */
  issued = 0;

  /** A token that opens everything, as an `Authorization: Bearer` header. */
  issue(): string {
    const token = `ya29.test-${randomBytes(16).toString('hex')}`;
    this.#valid.add(token);
    this.issued += 1;
    return token;
  }

  /** Those that were given out so far open nothing any more. */
  revokeAll(): void {
    this.#valid.clear();
  }

  accepts(authorization: string | undefined): boolean {
    const [, token] = /^Bearer (\S+)$/.exec(authorization ?? '') ?? [];
    return token !== undefined && this.#valid.has(token);
  }

  /** RFC 8693. */
  exchange(form: URLSearchParams): { readonly status: number; readonly body: object } {
    if (form.get('subject_token') !== this.#subject)
      return { status: 400, body: { error: 'invalid_grant', error_description: 'unknown subject' } };
    return {
      status: 200,
      body: {
        access_token: this.issue(),
        issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        token_type: 'Bearer',
        expires_in: lifetime,
      },
    };
  }

  /** Writes a credential configuration and the subject's token that it names; returns its path. */
  async writeCredentials(folder: string, endpoint: string): Promise<string> {
    const subject = join(folder, 'subject-token');
    const file = join(folder, 'credentials.json');
    await writeFile(subject, this.#subject, { mode: 0o600 });
    const credentials = {
      type: 'external_account',
      audience: '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/test/providers/test',
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      token_url: `${endpoint}/v1/token`,
      credential_source: { file: subject },
    };
    await writeFile(file, JSON.stringify(credentials), { mode: 0o600 });
    return file;
  }
}
