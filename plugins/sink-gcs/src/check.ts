import { tryOutSink } from '@pgsilo/plugin';
import type { CheckResult, Context, RetainedObject, Sink } from '@pgsilo/plugin';

export async function* check(sink: Sink, context: Context): AsyncGenerator<CheckResult> {
  const retained: RetainedObject[] = [];
  const watched: Sink = {
    ...sink,
    async remove(...parameters) {
      const kept = await sink.remove(...parameters);
      retained.push(...kept);
      return kept;
    },
  };
  yield await tryOutSink(watched, context);
  for (const { key, until } of retained)
    yield until
      ? {
          name: 'removal',
          status: 'ok',
          message: `${key}, which this check has written, is retained until ${until.toISOString()}`,
        }
      : {
          name: 'removal',
          status: 'warning',
          message: `the bucket puts each object on hold, also ${key}, which this check has written`,
          hint: 'Nothing can be pruned before somebody releases the holds: turn off the default event-based hold of the bucket, or use a retention policy.',
        };
}
