import * as http from 'node:http';
import * as https from 'node:https';
import { S3Client } from '@aws-sdk/client-s3';
import type { S3ClientConfig } from '@aws-sdk/client-s3';
import type { Context } from '@pgsilo/plugin';
import type { Options } from './options.ts';
import type { PartSettings } from './part-plan.ts';
import { presets } from './presets.ts';

/** How long nothing may come, in milliseconds. */
export interface Patience {
  /** Without a byte in either direction; then a request is given up, and the SDK repeats what can be repeated. */
  readonly silence: number;
}

const usual: Patience = { silence: 60_000 };
const connecting = 20_000;
/** Without one, the SDK prints. */
const silent = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };

/** The bucket, as what is shared by all calls of a sink. */
export interface Store {
  readonly client: S3Client;
  /** For objects' bodies: a reader that pauses is no silence of the store. */
  readonly reader: S3Client;
  readonly bucket: string;
  /** Empty, or ends in a slash. */
  readonly prefix: string;
  readonly options: Options;
  readonly parts: PartSettings;
  /** What requests carry besides what they demand: an object under lock must have one. */
  readonly checksum: 'CRC32' | undefined;
  readonly atomicVersions: boolean;
  readonly silence: number;
  /** Bucket and key of an object. */
  at(key: string): { readonly Bucket: string; readonly Key: string };
  /** The context of a call, which from now on is told of requests that are repeated; all contexts of a run count into one sum. */
  tell(context: Context): Context;
  close(): void;
}

export function openStore(options: Options, { silence }: Patience = usual): Store {
  const preset = presets[providerOf(options)];
  const {
    endpoint,
    bucket,
    partSize,
    concurrency,
    maxParts = preset.maxParts,
    checksums = preset.checksums,
  } = options;
  // As many connections as there are requests, which callers bound: one that waited for another's would be taken for one that cannot be made.
  const settings = { keepAlive: true, maxSockets: Infinity };
  // Its own agents would be made anew for each large request, which then waits for a "100 Continue".
  const httpAgent = new http.Agent(settings);
  const httpsAgent = new https.Agent(settings);
  const requestHandler = { httpAgent, httpsAgent, connectionTimeout: connecting };
  const wanted = checksums === 'always' ? 'WHEN_SUPPORTED' : 'WHEN_REQUIRED';
  const region = options.region ?? (endpoint === undefined ? undefined : 'us-east-1');
  const config: S3ClientConfig = {
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(options.profile === undefined ? {} : { profile: options.profile }),
    ...credentialsOf(options),
    forcePathStyle: options.pathStyle ?? preset.pathStyle,
    requestChecksumCalculation: wanted,
    responseChecksumValidation: wanted,
    expectContinueHeader: false,
    // Single requests that can be repeated, for a few seconds in all.
    maxAttempts: 3,
    retryMode: 'standard',
    logger: silent,
  };
  const client = new S3Client({ ...config, requestHandler: { ...requestHandler, socketTimeout: silence } });
  const reader = new S3Client({
    ...config,
    // Found once for both.
    credentials: client.config.credentials,
    requestHandler: { ...requestHandler, socketTimeout: 0 },
  });
  let retried = (): void => undefined;
  for (const each of [client, reader]) tellRetries(each, () => retried());
  const prefix = options.prefix === '' ? '' : `${options.prefix.replace(/\/$/, '')}/`;
  return {
    client,
    reader,
    bucket,
    prefix,
    options,
    parts: { partSize, concurrency, maxParts, equalParts: preset.equalParts },
    checksum: checksums === 'always' || options.objectLock !== undefined ? 'CRC32' : undefined,
    atomicVersions: preset.atomicVersions,
    silence,
    at: (key) => ({ Bucket: bucket, Key: prefix + key }),
    tell(context) {
      retried = () => context.retried();
      return context;
    },
    close() {
      client.destroy();
      reader.destroy();
      httpAgent.destroy();
      httpsAgent.destroy();
    },
  };
}

/** The SDK repeats by itself, and says only afterwards how often it tried. */
function tellRetries(client: S3Client, retried: () => void): void {
  const count = (metadata: { readonly attempts?: number | undefined } | undefined): void => {
    for (let attempt = 1; attempt < (metadata?.attempts ?? 1); attempt += 1) retried();
  };
  client.middlewareStack.add(
    (next) => async (request) => {
      try {
        const result = await next(request);
        count(result.output.$metadata);
        return result;
      } catch (error) {
        count((error as { readonly $metadata?: { readonly attempts?: number } } | undefined)?.$metadata);
        throw error;
      }
    },
    { step: 'initialize', name: 'pgsiloTellRetries' },
  );
}

function providerOf({ provider, endpoint }: Options): keyof typeof presets {
  return provider ?? (endpoint === undefined ? 'aws' : 'other');
}

function credentialsOf({
  accessKeyId,
  secretAccessKey,
  sessionToken,
}: Options): Pick<S3ClientConfig, 'credentials'> {
  if (accessKeyId === undefined || secretAccessKey === undefined) return {};
  return {
    credentials: {
      accessKeyId,
      secretAccessKey: secretAccessKey.reveal(),
      ...(sessionToken === undefined ? {} : { sessionToken: sessionToken.reveal() }),
    },
  };
}
