import { isSecret, throwIfAborted } from '@pgsilo/plugin';
import type { Context } from '@pgsilo/plugin';
import type { TrialResult, TrySink } from '@pgsilo/engine';
import type { Pipeline as PipelineFile } from '@pgsilo/pipeline-file';
import { formatCount } from './terminal/format.ts';

/** Size of the bodies that are large among the quick checks, in bytes. */
const quickBytes = 2 ** 18;
/** What stands in the options and is shorter may stand elsewhere too, by accident. */
const shortestSecret = 8;

/**
 * The conformance suite of sinks on the user's own store, under the prefix that the engine gives: each check on a sink made anew.
 * @param full also the checks that cost: bodies of many megabytes, more keys than a page.
 */
export function tryPromises(read: PipelineFile, { full }: { readonly full: boolean }): TrySink {
  return async function* (sink, place, context): AsyncGenerator<TrialResult, void, undefined> {
    // For this command alone: no other is to wait for it.
    const { runCheck, sinkChecks } = await import('@pgsilo/testkit/conformance');
    const { definition, options } = read.sinks.find(({ name }) => name === sink.name)!;
    const own = calm(context);
    const setup = { pipeline: read.name, folder: read.folder, log: own.log };
    const subject = {
      traits: definition.traits,
      prefix: place.prefix,
      shared: true,
      secrets: secretsIn(options),
      ...(full ? {} : { largeBytes: quickBytes }),
    };
    const factory = async () => ({
      ...subject,
      sink: place.watched(await definition.create(options, setup)),
    });

    const begun = performance.now();
    const wanted = sinkChecks.filter(({ cost }) => full || cost !== 'heavy');
    const notFitting: string[] = [];
    let broken = 0;
    for (const check of wanted) {
      let outcome = await runCheck(check, factory, own);
      // The engine, too, would ask once more; each time the check has keys of its own.
      if (isPassing(outcome.error)) outcome = await runCheck(check, factory, own);
      throwIfAborted(context.signal);
      if (outcome.status === 'waived') notFitting.push(`${check.name}: ${outcome.message}`);
      if (outcome.status !== 'failed') continue;
      broken += 1;
      const { name, promise, reason } = check;
      yield { name, status: 'failed', message: outcome.message ?? 'failed', promise, reason };
    }

    const tried = wanted.length - notFitting.length;
    const heavy = sinkChecks.length - wanted.length;
    const message = [
      `${tried - broken} of ${formatCount(tried, 'promise')} kept in ${((performance.now() - begun) / 1000).toFixed(1)} s`,
      ...(heavy > 0 ? [`${heavy} that cost more are tried with --full`] : []),
      ...notFitting.map((text) => `not tried: ${text}`),
    ].join('; ');
    if (broken === 0) yield { name: 'promises', status: 'ok', message };
    else
      yield {
        name: 'promises',
        status: 'failed',
        message,
        hint: 'Do not rely on backups in this store before it keeps all of them; the reasons say what would go wrong.',
      };
  };
}

/** What goes wrong in a check is meant to: it is no news for a person. */
function calm(context: Context): Context {
  const { log } = context;
  const debug: typeof log.debug = (message, fields) => log.debug(message, fields);
  return {
    ...context,
    log: { debug, info: debug, warn: debug, error: debug },
    scratch: (bytes) => context.scratch(bytes),
  };
}

/** An error that a moment later may not be there, and no broken promise. */
function isPassing(error: unknown): boolean {
  return (error as { retryable?: unknown } | undefined)?.retryable === true;
}

function secretsIn(options: unknown): string[] {
  if (isSecret(options)) {
    const value = options.reveal();
    return value.length < shortestSecret ? [] : [value];
  }
  if (typeof options !== 'object' || options === null) return [];
  return Object.values(options).flatMap(secretsIn);
}
