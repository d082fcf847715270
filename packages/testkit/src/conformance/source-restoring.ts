import { isPgsiloError } from '@pgsilo/plugin';
import type { RestoreRequest } from '@pgsilo/plugin';
import { broken, mustEqual, mustReject, settle } from './check.ts';
import { backUp, cutShort, damaged, requestOf, restore } from './source-backup.ts';
import { sourceCheck } from './source-subject.ts';
import type { SourceCheck } from './source-subject.ts';

export const sourceRestoringChecks: readonly SourceCheck[] = [
  sourceCheck(
    {
      name: 'back up, restore, same',
      promise:
        'A restored unit holds what it held when it was backed up; it stands under a new name, and the live one is not touched.',
      reason: 'It is what all of this is for.',
    },
    async (subject) => {
      const before = await subject.contentOf();
      if (before === '') broken('contentOf() tells nothing of a unit that has data');
      const { view } = await backUp(subject);
      await subject.change();
      const changed = await subject.contentOf();
      if (changed === before) broken('change() changes nothing that contentOf() tells');
      const there = await subject.targets();
      const { target, compared } = await restore(subject, requestOf(view));
      mustEqual([...(await subject.targets())].sort(), [...there, target].sort(), 'targets after a restore');
      if ((await subject.contentOf(target)) !== before)
        broken('the restored copy does not hold what was backed up');
      if ((await subject.contentOf()) !== changed) broken('the restore touched the live unit');
      if (compared === '') broken('the restore does not say what it compared');
    },
  ),
  sourceCheck(
    {
      name: 'looking writes nothing',
      promise: 'A restore that is prepared and not run leaves the server as it was.',
      reason: 'A person who looks at the plan and says no must not have changed anything.',
    },
    async (subject) => {
      const { view } = await backUp(subject);
      const before = [...(await subject.targets())].sort();
      for (const replace of [false, true]) {
        const restoration = await subject.source.restore(requestOf(view, { replace }), subject.context);
        mustEqual([...(await subject.targets())].sort(), before, 'targets while a restore is prepared');
        await restoration.close();
        mustEqual([...(await subject.targets())].sort(), before, 'targets after a restore that was not run');
      }
    },
  ),
  sourceCheck(
    {
      name: 'taken target',
      promise:
        'A restore to a name that is taken is refused with restore.target-exists or restore.target-not-empty, and what is there stays.',
      reason: 'A slip of the finger would overwrite another tenant.',
    },
    async (subject) => {
      const { view } = await backUp(subject);
      const { target } = await restore(subject, requestOf(view));
      await subject.change();
      const live = await subject.contentOf();
      const there = [...(await subject.targets())].sort();
      const copy = await subject.contentOf(target);
      const outcome = await settle(restore(subject, requestOf(view, { to: target })));
      if ('value' in outcome) broken(`a restore to ${JSON.stringify(target)}, which exists, was not refused`);
      const { error } = outcome;
      const fine = ['restore.target-exists', 'restore.target-not-empty'];
      if (!(isPgsiloError(error) && fine.includes(error.code)))
        broken(
          `a restore to a name that is taken must throw ${fine.join(' or ')}, but threw ${String(error)}`,
          error,
        );
      mustEqual([...(await subject.targets())].sort(), there, 'targets after a refused restore');
      mustEqual(await subject.contentOf(target), copy, 'what was there before a refused restore');
      mustEqual(await subject.contentOf(), live, 'the live unit after a refused restore');
    },
  ),
  sourceCheck(
    {
      name: 'replace',
      promise:
        "With replace the copy stands in the live one's place, and what it replaced is kept under the name that is told. The exchange happens within one call of the request's swap.",
      reason:
        'At 3 a.m. the way back must be there when the backup turns out to be the wrong one, and the hooks that stop and start the application run around swap.',
    },
    async (subject) => {
      const before = await subject.contentOf();
      const { view } = await backUp(subject);
      await subject.change();
      const changed = await subject.contentOf();
      const seen: string[] = [];
      const swap: RestoreRequest['swap'] = async (_live, work) => {
        seen.push(await subject.contentOf());
        const result = await work();
        seen.push(await subject.contentOf());
        return result;
      };
      const { kept } = await restore(subject, requestOf(view, { replace: true, swap }));
      if (seen.length !== 2) broken(`swap was called ${seen.length / 2} times, not once`);
      if (seen[0] !== changed) broken('the live unit was replaced before swap was called');
      if (seen[1] !== before) broken('the live unit was not yet replaced when the work of swap had ended');
      if ((await subject.contentOf()) !== before) broken('the live unit does not hold what was backed up');
      if (kept === undefined)
        return broken('the restore does not say under which name the replaced one was kept');
      if ((await subject.contentOf(kept)) !== changed) broken('what was kept is not what was replaced');
      return undefined;
    },
  ),
  sourceCheck(
    {
      name: 'damaged backup',
      promise:
        'When an artifact turns out to be damaged, the restore throws, the live unit is untouched, and no half copy is left.',
      reason: 'Half a tenant under a good name would be taken for a whole one.',
    },
    async (subject) => {
      const { view } = await backUp(subject);
      const live = await subject.contentOf();
      const there = [...(await subject.targets())].sort();
      for (const replace of [false, true]) {
        const outcome = await settle(restore(subject, requestOf(damaged(view), { replace })));
        if ('value' in outcome)
          broken('a backup that was damaged in the middle was restored as if it were whole');
        mustEqual([...(await subject.targets())].sort(), there, 'targets after a restore that failed');
        if ((await subject.contentOf()) !== live)
          broken('the live unit was touched by a restore that failed');
      }
    },
  ),
  sourceCheck(
    {
      name: 'inspect',
      promise:
        'inspect says what a sound backup holds, and throws source.archive-invalid for one that was cut before it was stored.',
      reason: 'verify --level decode would call a backup good that cannot be restored.',
    },
    async (subject) => {
      const { source, context } = subject;
      if (!source.inspect) return 'the source has no inspect: the engine checks hashes alone';
      const made = await backUp(subject);
      const { summary } = await source.inspect(made.view, context);
      if (summary === '') broken('inspect says nothing of a sound backup');
      const call = source.inspect(await cutShort(made), context);
      await mustReject(call, 'source.archive-invalid', 'inspect of a backup whose largest artifact was cut');
      return undefined;
    },
  ),
  sourceCheck(
    {
      name: 'compare',
      promise:
        'compare finds no difference between a backup and its restored copy, and finds those of a unit that has changed.',
      reason: 'It is the proof that a restore is whole; a comparison that never differs proves nothing.',
    },
    async (subject) => {
      const { source, context } = subject;
      if (!source.compare) return 'the source has no compare';
      const { view } = await backUp(subject);
      const first = await restore(subject, requestOf(view));
      const same = await source.compare({ name: first.target }, view, context);
      mustEqual(same.differences, [], 'differences of a restored copy');
      await subject.change();
      const { view: later } = await backUp(subject);
      const second = await restore(subject, requestOf(later, { to: `${first.target.slice(0, 40)}_2` }));
      const other = await source.compare({ name: second.target }, view, context);
      if (other.differences.length === 0) broken('compare finds no difference after a change');
      return undefined;
    },
  ),
  sourceCheck(
    {
      name: 'lock',
      promise:
        'Of two that ask for a lock one gets it and the other is told who holds it; released, it can be had again.',
      reason: 'Two runs of one pipeline would overlap, and each sweep away what the other writes.',
    },
    async ({ source, context }) => {
      if (!source.lock) return 'the source has no lock: the engine uses a file';
      const name = `check-${crypto.randomUUID()}`;
      const first = await source.lock(name, 'the first', context);
      if (!first.held) return broken('a lock that nobody holds was not given');
      try {
        const second = await source.lock(name, 'the second', context);
        if (second.held) {
          await second.release();
          return broken('a lock that is held was given to another');
        }
        mustEqual(second.holder, 'the first', 'holder of the lock');
      } finally {
        await first.release();
      }
      const third = await source.lock(name, 'the third', context);
      if (!third.held) return broken('a lock that was released was not given again');
      await third.release();
      return undefined;
    },
  ),
];
