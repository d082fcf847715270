import { PgsiloError, toPgsiloError } from '@pgsilo/plugin';
import type { Body, SourceArtifact } from '@pgsilo/plugin';
import { fanOut } from './fan-out.ts';
import { interruptibleBody } from './interrupt.ts';
import { artifactKeyForm, backupPrefix } from './keys.ts';
import type { ManifestArtifact } from './manifest.ts';
import { Meter } from './meter.ts';
import type { PipelineSink } from './pipeline.ts';
import type { EngineSession } from './session.ts';

export interface StoreRequest {
  readonly artifact: SourceArtifact;
  readonly backup: string;
  readonly run: string;
  /** Where it goes; those that fail are left out of the result's `stored`. At least one. */
  readonly sinks: readonly PipelineSink[];
  readonly signal: AbortSignal;
  /** Part of the memory budget for this one artifact. */
  readonly share: number;
  /** Told of raw bytes as they pass. */
  readonly onBytes?: (count: number) => void;
}

export interface StoreResult {
  readonly artifact: ManifestArtifact;
  readonly stored: readonly PipelineSink[];
  readonly failed: readonly { readonly sink: PipelineSink; readonly error: PgsiloError }[];
}

/** Bytes that one sink may be behind the others. What is left when the body ends stays in memory until the sink has taken it. */
const mostRoom = 2 * 2 ** 20;

/** An artifact whose body was read to its end. The last bytes may still be on their way. */
export interface Storing {
  /** Settles when every sink has answered. Nobody has to listen at once. */
  readonly result: Promise<StoreResult>;
}

/**
 * Sends one artifact through the transforms into every sink at once, and proves what arrived. Resolves as soon as the source has nothing more to give, so that it can go on.
 * Throws what the source or a transform throws. A sink that fails leaves the fan-out and is reported; when the last one leaves, the producer is stopped and the first sink's error thrown.
 */
export async function storeArtifact(session: EngineSession, request: StoreRequest): Promise<Storing> {
  const { artifact, sinks, signal } = request;
  const { transforms, name: pipeline } = session.pipeline;
  const stages = transforms.length + sinks.length;
  const share = request.share / Math.max(1, stages);

  const raw = new Meter(request.onBytes);
  let body: Body = raw.watch(interruptibleBody(artifact.body, signal));
  const used: ManifestArtifact['transforms'][number][] = [];
  let key = artifact.name;
  for (const { use, transform } of transforms) {
    const about = { unit: artifact.unit, run: request.run, artifact: artifact.name };
    const encoded = await transform.encode(body, about, session.context(share, signal));
    body = encoded.body;
    used.push({ use, parameters: encoded.parameters });
    key += transform.suffix;
  }
  if (!artifactKeyForm.test(key))
    throw new PgsiloError(
      'plugin.invalid',
      `the source or a transform made the artifact name ${JSON.stringify(key)}`,
    );
  const stored = new Meter();
  const fullKey = backupPrefix(pipeline, artifact.unit, request.backup) + key;
  const estimate = artifact.estimatedBytes === undefined ? {} : { estimatedBytes: artifact.estimatedBytes };

  const fan = fanOut(
    stored.watch(body),
    sinks.length,
    Math.min(mostRoom, Math.max(2 ** 16, Math.floor(session.context(share).memory / 4))),
  );
  const pumping = fan.pump().then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
  const answers = Promise.all(
    sinks.map(async (sink, index) => {
      const branch = fan.branches[index]!;
      try {
        const object = await sink.sink.put(
          fullKey,
          session.throttled(sink, branch.body, signal),
          { kind: 'artifact', ...estimate },
          session.context(share, signal),
        );
        return { sink, bytes: object.bytes };
      } catch (error) {
        return { sink, error };
      } finally {
        branch.leave();
      }
    }),
  );
  const broken = await pumping;
  if (broken) {
    // They end by the same error; nothing of the artifact is touched any more when this throws.
    await answers;
    throw toPgsiloError(broken.error, 'internal');
  }
  const result = answers.then((outcomes) => judge(request, fullKey, { used, key, raw, stored }, outcomes));
  result.catch(() => undefined);
  // The last reader left before the end: there is nothing to go on with.
  if (!stored.ended) await result;
  return { result };
}

/** What one put came to. */
type Outcome =
  | { readonly sink: PipelineSink; readonly bytes: number }
  | { readonly sink: PipelineSink; readonly error: unknown };

interface Sent {
  readonly used: ManifestArtifact['transforms'];
  readonly key: string;
  readonly raw: Meter;
  readonly stored: Meter;
}

function judge(
  { artifact, sinks }: StoreRequest,
  fullKey: string,
  { used, key, raw, stored }: Sent,
  outcomes: readonly Outcome[],
): StoreResult {
  const failed = outcomes.flatMap((outcome) =>
    'error' in outcome ? [{ sink: outcome.sink, error: toPgsiloError(outcome.error, 'sink.failed') }] : [],
  );
  if (failed.length === sinks.length) throw failed[0]!.error;
  if (!raw.ended || !stored.ended) {
    throw new PgsiloError('internal', `${fullKey}: a sink or transform ended well without reading all of it`);
  }
  for (const outcome of outcomes) {
    if ('error' in outcome || outcome.bytes === stored.bytes) continue;
    failed.push({
      sink: outcome.sink,
      error: new PgsiloError(
        'sink.corrupt',
        `sink ${outcome.sink.name} stored ${outcome.bytes} of ${stored.bytes} bytes of ${fullKey}`,
      ),
    });
  }
  const bad = new Set(failed.map(({ sink }) => sink));
  if (bad.size === sinks.length) throw failed[0]!.error;
  return {
    artifact: {
      name: artifact.name,
      format: artifact.format,
      key,
      bytes: raw.bytes,
      sha256: raw.digest(),
      storedBytes: stored.bytes,
      storedSha256: stored.digest(),
      transforms: used,
    },
    stored: sinks.filter((sink) => !bad.has(sink)),
    failed,
  };
}
