import type { IncomingMessage } from 'node:http';
import { resolve } from 'node:path';
import type { Context } from '@pgsilo/plugin';
import { AnswerError, mayPass } from './errors.ts';
import { anonymous, openLogin } from './login.ts';
import type { Login } from './login.ts';
import type { Options } from './options.ts';
import { textOf, Transport } from './transport.ts';
import type { Request } from './transport.ts';

/** Of one request that can be repeated. */
const attempts = 4;
/** Milliseconds before the second; it doubles. */
const pause = 300;

/** What a call may wait with and be ended by, and who is told of its repetitions. */
export type Calling = Pick<Context, 'clock' | 'signal' | 'retried'>;

/** The same, ended by another signal. */
export function endedBy(signal: AbortSignal, context: Calling): Calling {
  return { clock: context.clock, signal, retried: () => context.retried() };
}

export interface Call extends Pick<Request, 'method' | 'body' | 'reader'> {
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What the service says of an object, as far as the sink asks. */
export interface Resource {
  readonly name: string;
  readonly generation: string;
  readonly size: string;
  readonly timeCreated: string;
  readonly crc32c?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly temporaryHold?: boolean;
  readonly eventBasedHold?: boolean;
  readonly retentionExpirationTime?: string;
  readonly retention?: { readonly retainUntilTime?: string };
}

/** The bucket, as what is shared by all calls of a sink. */
export class Store {
  readonly options: Options;
  /** Empty, or ends in a slash. */
  readonly prefix: string;
  readonly transport: Transport;
  readonly #login: Login;
  readonly #base: string;

  constructor(options: Options, folder: string, silence?: number) {
    const { apiEndpoint, keyFile, prefix } = options;
    this.options = options;
    this.prefix = prefix === '' ? '' : `${prefix.replace(/\/$/, '')}/`;
    this.#base = apiEndpoint.replace(/\/+$/, '');
    this.transport = new Transport(silence);
    // Tokens that nobody gave for it are not sent without TLS.
    this.#login =
      keyFile === undefined && this.#base.startsWith('http:')
        ? anonymous
        : openLogin(keyFile === undefined ? undefined : resolve(folder, keyFile));
  }

  /** The path of the bucket, its objects, or one of them. */
  path(object?: string): string {
    const objects = `/storage/v1/b/${encodeURIComponent(this.options.bucket)}/o`;
    return object === undefined ? objects : `${objects}/${encodeURIComponent(object)}`;
  }

  /** An answer that is a success, once; throws {@link AnswerError} for others. A token that is refused is fetched anew. */
  async call(
    { path, query = {}, headers = {}, ...rest }: Call,
    { signal }: Pick<Calling, 'signal'>,
  ): Promise<IncomingMessage> {
    const url = new URL(this.#base + path);
    for (const [name, value] of Object.entries(query))
      if (value !== undefined) url.searchParams.set(name, value);
    const { projectId } = this.options;
    if (projectId !== undefined) url.searchParams.set('userProject', projectId);
    for (let turn = 1; ; turn += 1) {
      const own = await this.#login.headers(signal);
      if (projectId !== undefined) own['x-goog-user-project'] = projectId;
      const answer = await this.transport.send({ ...rest, url, signal, headers: { ...own, ...headers } });
      if ((answer.statusCode ?? 0) < 300) return answer;
      if (answer.statusCode !== 401 || turn > 1) throw await errorIn(answer);
      answer.resume();
      this.#login.renew();
    }
  }

  /** A call that does no harm when it is repeated; the answer's JSON. */
  async ask<T>(call: Call, context: Calling): Promise<T> {
    return repeating(context, async () => {
      const text = await textOf(await this.call(call, context));
      return (text === '' ? {} : JSON.parse(text)) as T;
    });
  }

  close(): void {
    this.transport.close();
  }
}

/** Repeats what may pass, a few times within a few seconds. */
export async function repeating<T>(calling: Calling, once: () => Promise<T>): Promise<T> {
  for (let turn = 1; ; turn += 1) {
    try {
      return await once();
    } catch (error) {
      if (turn === attempts || calling.signal.aborted || !mayPass(error)) throw error;
    }
    await pauseBefore(turn, calling);
  }
}

/** Not all at once: those who were refused together would come back together. */
export async function pauseBefore(turn: number, calling: Calling): Promise<void> {
  calling.retried();
  await calling.clock.sleep(pause * 2 ** (turn - 1) * (0.5 + Math.random()), calling.signal);
}

interface ErrorBody {
  readonly error?: { readonly message?: string; readonly errors?: readonly { readonly reason?: string }[] };
}

/** Errors are JSON, or a line of text where an upload is concerned; a proxy may say anything. */
export async function errorIn(answer: IncomingMessage): Promise<AnswerError> {
  const status = answer.statusCode ?? 0;
  const text = await textOf(answer).catch(() => '');
  try {
    const { error } = JSON.parse(text) as ErrorBody;
    return new AnswerError(status, error?.errors?.[0]?.reason ?? '', error?.message ?? '');
  } catch {
    const line = /^\s*</.test(text) ? '' : (text.trim().split('\n', 1)[0] ?? '').slice(0, 300);
    return new AnswerError(status, '', line);
  }
}
