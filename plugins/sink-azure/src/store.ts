import * as http from 'node:http';
import * as https from 'node:https';
import { BlobServiceClient, newPipeline } from '@azure/storage-blob';
import type { BlockBlobClient, ContainerClient, RequestPolicyFactory } from '@azure/storage-blob';
import type { Context } from '@pgsilo/plugin';
import { loginOf } from './credentials.ts';
import type { Options } from './options.ts';
import { repeating } from './repeat.ts';

/** The container, as what is shared by all calls of a sink. */
export interface Store {
  readonly container: ContainerClient;
  readonly service: BlobServiceClient;
  /** Empty, or ends in a slash. */
  readonly prefix: string;
  blob(key: string): BlockBlobClient;
  /** Says whose repetitions are counted from now on; all contexts of a run count into the same. */
  tell(context: Context): Context;
  close(): void;
}

export async function openStore(options: Options): Promise<Store> {
  const { url, credential } = await loginOf(options);
  const settings = { keepAlive: true, maxSockets: 32 };
  const agent = url.startsWith('https:') ? new https.Agent(settings) : new http.Agent(settings);
  let retried = (): void => undefined;
  // The SDK's own repetitions are off: see there.
  const pipeline = newPipeline(credential, { retryOptions: { maxTries: 1 } });
  pipeline.factories.push(
    repeating(() => retried()),
    ownConnections(agent),
  );
  const service = new BlobServiceClient(url, pipeline);
  const container = service.getContainerClient(options.container);
  const prefix = options.prefix === '' ? '' : `${options.prefix.replace(/\/$/, '')}/`;
  return {
    container,
    service,
    prefix,
    blob: (key) => container.getBlockBlobClient(prefix + key),
    tell(context) {
      retried = () => context.retried();
      return context;
    },
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
