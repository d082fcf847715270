import { inspect } from 'node:util';
import type { CheckResult, Plan } from '@pgsilo/plugin';
import { recordingLogger } from '../context.ts';
import { broken, mustEqual, mustReject, settle } from './check.ts';
import { planOf, prompt, sourceCheck } from './source-subject.ts';
import type { SourceCheck } from './source-subject.ts';
import { within } from './check.ts';

/** What must not change from one look to the next. */
function lasting({ jobs, missing }: Plan): unknown {
  const units = (list: Plan['jobs'][number]['units']): unknown =>
    list.map(({ name, labels, origin }) => ({ name, labels: { ...labels }, origin }));
  return {
    jobs: jobs.map(({ id, units: list }) => ({ id, units: units(list) })),
    missing: missing.map(({ unit }) => unit.name),
  };
}

export const sourcePlanningChecks: readonly SourceCheck[] = [
  sourceCheck(
    {
      name: 'unreachable server',
      promise:
        'When the server does not answer, plan throws source.unreachable; it never yields an empty plan.',
      reason: 'A run over nothing would be green, night after night.',
    },
    async ({ unreachable, context }) => {
      const source = await unreachable();
      try {
        const call = within(60_000, 'plan of a server that does not answer', planOf(source, context));
        await mustReject(call, 'source.unreachable', 'plan of a server that does not answer');
      } finally {
        await source.close();
      }
    },
  ),
  sourceCheck(
    {
      name: 'check tells the unreachable',
      promise:
        'When the server does not answer, check reports a failure or throws; with a sound one it finds none.',
      reason: 'pgsilo doctor would call a pipeline healthy that cannot run.',
    },
    async ({ source, unreachable, context }) => {
      const sound = await resultsOf(source.check(context));
      if (sound.length === 0) broken('check found nothing to say');
      for (const { name, status, message } of sound)
        if (status === 'failed') broken(`check failed at ${name}: ${message}`);
      const lost = await unreachable();
      try {
        const results = await settle(resultsOf(lost.check(context)));
        if ('value' in results && !results.value.some(({ status }) => status === 'failed'))
          broken('check finds no fault with a server that does not answer');
      } finally {
        await lost.close();
      }
    },
  ),
  sourceCheck(
    {
      name: 'stable units',
      promise:
        'Two plans of a server at rest are the same: jobs, units, labels and origins, in the same order.',
      reason: "A unit's backups would be scattered over several names, and its history lost.",
    },
    async ({ source, unit, context }) => {
      const first = await planOf(source, context);
      const names = first.jobs.flatMap(({ units }) => units.map(({ name }) => name));
      if (!names.includes(unit)) broken(`the plan has no unit ${JSON.stringify(unit)}`);
      mustEqual(lasting(await planOf(source, context)), lasting(first), 'a second plan');
    },
  ),
  sourceCheck(
    {
      name: 'names of units',
      promise: 'No unit or job of a plan is there twice, and no unit begins with "_".',
      reason: 'Two tenants would share one place in the sink, and the second could not be backed up.',
    },
    async ({ source, context }) => {
      const { jobs, missing } = await planOf(source, context);
      const names = [
        ...jobs.flatMap(({ units }) => units.map(({ name }) => name)),
        ...missing.map((one) => one.unit.name),
      ];
      const ids = jobs.map(({ id }) => id);
      for (const [what, list] of [
        ['unit', names],
        ['job', ids],
      ] as const) {
        const twice = list.find((one, index) => list.indexOf(one) !== index);
        if (twice !== undefined) broken(`the ${what} ${JSON.stringify(twice)} is in the plan twice`);
      }
      const wrong = names.find((name) => name === '' || name.startsWith('_'));
      if (wrong !== undefined) broken(`no unit may be called ${JSON.stringify(wrong)}`);
      for (const { id, units } of jobs)
        if (units.length === 0) broken(`the job ${JSON.stringify(id)} has no units`);
    },
  ),
  sourceCheck(
    {
      name: 'secrets do not print',
      promise: 'No secret of the options is seen in the source, its plan, its checks, its errors or its log.',
      reason: 'Logs, manifests and terminals are read by more people than may read the database.',
    },
    async ({ source, unreachable, context, secrets = [] }) => {
      if (secrets.length === 0) return 'the factory names no secrets';
      const log = recordingLogger();
      const own = { ...context, log, scratch: (bytes?: number) => context.scratch(bytes) };
      const lost = await unreachable();
      const seen: unknown[] = [source, await planOf(source, own), await resultsOf(source.check(own))];
      try {
        seen.push(await settle(planOf(lost, own)), await settle(resultsOf(lost.check(own))));
      } finally {
        await within(prompt, 'closing a source', lost.close());
      }
      seen.push(log.entries);
      const text = seen
        .map((value) => `${inspect(value, { depth: 8, showHidden: true })}\n${String(value)}`)
        .join('\n');
      for (const secret of secrets) {
        const at = text.indexOf(secret);
        if (at >= 0) broken(`a secret is seen after: ${text.slice(Math.max(0, at - 80), at)}`);
      }
      return undefined;
    },
  ),
];

async function resultsOf(check: AsyncIterable<CheckResult>): Promise<CheckResult[]> {
  const results: CheckResult[] = [];
  for await (const result of check) results.push(result);
  return results;
}
