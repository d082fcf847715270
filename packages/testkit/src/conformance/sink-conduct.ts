import { inspect } from 'node:util';
import type { CheckResult, Context } from '@pgsilo/plugin';
import { bodyOf, collect } from '../bodies.ts';
import { recordingLogger } from '../context.ts';
import { broken, mustEqual, settle, undoing } from './check.ts';
import { mustHaveClosed, openResources } from './resources.ts';
import { keysUnder, listAll, sinkCheck } from './sink-subject.ts';
import type { SinkCheck, SinkFactory, SinkSubject, SinkUnderCheck } from './sink-subject.ts';

export const sinkConductChecks: readonly SinkCheck[] = [
  sinkCheck(
    {
      name: 'check leaves nothing',
      promise: 'check tries the store out, finds no fault with a sound one, and leaves nothing behind.',
      reason: 'pgsilo doctor is run often, on stores that hold real backups.',
    },
    async (subject) => {
      const { sink, prefix, context } = subject;
      await sink.put(`${prefix}kept`, bodyOf('kept'), { kind: 'note' }, context);
      const before = await keysAround(subject);
      const results: CheckResult[] = [];
      for await (const result of sink.check(context)) results.push(result);
      if (results.length === 0) broken('check found nothing to say');
      for (const { name, status, message } of results)
        if (status === 'failed') broken(`check failed at ${name}: ${message}`);
      if (subject.shared) await mustBeGone(subject, before);
      else mustEqual(await keysAround(subject), before, 'keys after check');
    },
  ),
  sinkCheck(
    {
      name: 'secrets do not print',
      promise:
        'No secret of the options is seen in the sink when it is printed, in its errors, its log or its checks.',
      reason: 'Logs and terminals are read by more people than may read the store.',
    },
    async ({ sink, prefix, context, secrets }) => {
      if (secrets === undefined) return 'the factory names no secrets';
      const log = recordingLogger();
      const own: Context = { ...context, log, scratch: (bytes) => context.scratch(bytes) };
      const results: unknown[] = [
        sink,
        await settle(sink.stat(`${prefix}none`, own)),
        await settle(collect(sink.get(`${prefix}none`, undefined, own))),
      ];
      for await (const result of sink.check(own)) results.push(result);
      results.push(await settle(listAll(sink, prefix, own)), log.entries);
      const seen = results
        .map((value) => `${inspect(value, { depth: 8, showHidden: true })}\n${json(value)}\n${String(value)}`)
        .join('\n');
      for (const secret of secrets) {
        const at = seen.indexOf(secret);
        if (at >= 0) broken(`a secret is seen after: ${seen.slice(Math.max(0, at - 80), at)}`);
      }
      return undefined;
    },
  ),
  {
    name: 'nothing open after close',
    promise: 'After close no connection, file, timer or child of the sink is left.',
    reason: 'The command would not end, or a long-lived process would run out of them.',
    async run(factory: SinkFactory, context: Context) {
      const before = openResources();
      const subject = await factory();
      const waiver = subject.waived?.[this.name];
      try {
        if (waiver === undefined) await useAndClose(subject, context);
      } finally {
        await subject.dispose?.();
      }
      if (waiver !== undefined) return waiver;
      await mustHaveClosed(before, 'a sink that was closed');
      return undefined;
    },
  },
];

/** Everything; of a store that others use, what checks of sinks put beside all prefixes: see `tryOutSink`. */
function keysAround({ sink, shared, context }: SinkUnderCheck): Promise<string[]> {
  return keysUnder(sink, shared ? 'pgsilo-check-' : '', context);
}

/** Another's check may be going on, and is over soon. */
async function mustBeGone(subject: SinkUnderCheck, before: readonly string[]): Promise<void> {
  const { clock, signal } = subject.context;
  let more = (await keysAround(subject)).filter((key) => !before.includes(key));
  for (let turn = 0; turn < 20 && more.length > 0; turn += 1) {
    await clock.sleep(250, signal);
    const now = await keysAround(subject);
    more = more.filter((key) => now.includes(key));
  }
  mustEqual(more, [], 'keys that check left');
}

async function useAndClose({ sink, prefix = '' }: SinkSubject, context: Context): Promise<void> {
  const key = `${prefix}check-close/object`;
  try {
    await sink.put(key, bodyOf('x'), { kind: 'artifact' }, context);
    await collect(sink.get(key, undefined, context));
    await keysUnder(sink, `${prefix}check-close/`, context);
  } finally {
    try {
      await sink.remove([key], undoing(context));
    } finally {
      await sink.close();
    }
  }
}

function json(value: unknown): string {
  try {
    return JSON.stringify(value) ?? '';
  } catch {
    return '';
  }
}
