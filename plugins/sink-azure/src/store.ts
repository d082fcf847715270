import * as http from 'node:http';
import * as https from 'node:https';
import { BlobServiceClient, newPipeline } from '@azure/storage-blob';
import type { BlockBlobClient, ContainerClient, RequestPolicyFactory } from '@azure/storage-blob';
import { loginOf } from './credentials.ts';
import type { Options } from './options.ts';

/** The container, as what is shared by all calls of a sink. */
export interface Store {
  readonly container: ContainerClient;
  readonly service: BlobServiceClient;
  /** Empty, or ends in a slash. */
  readonly prefix: string;
  blob(key: string): BlockBlobClient;
  close(): void;
}

export async function openStore(options: Options): Promise<Store> {
  const { url, credential } = await loginOf(options);
  const settings = { keepAlive: true, maxSockets: 32 };
  const agent = url.startsWith('https:') ? new https.Agent(settings) : new http.Agent(settings);
  // Single requests that can be repeated, for a few seconds in all.
  const retryOptions = { maxTries: 3, retryDelayInMs: 400, maxRetryDelayInMs: 2000 };
  const pipeline = newPipeline(credential, { retryOptions });
  pipeline.factories.push(ownConnections(agent));
  const service = new BlobServiceClient(url, pipeline);
  const container = service.getContainerClient(options.container);
  const prefix = options.prefix === '' ? '' : `${options.prefix.replace(/\/$/, '')}/`;
  return {
    container,
    service,
    prefix,
    blob: (key) => container.getBlockBlobClient(prefix + key),
    close: () => agent.destroy(),
  };
}

/** The SDK keeps connections in a pool of the whole process, which nothing closes. A proxy's agent has gone before. */
function ownConnections(agent: http.Agent): RequestPolicyFactory {
  return {
    create: (next) => ({
      sendRequest(request) {
        request.agent ??= agent;
        return next.sendRequest(request);
      },
    }),
  };
}
