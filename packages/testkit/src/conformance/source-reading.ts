import { createReadStream } from 'node:fs';
import { isPgsiloError } from '@pgsilo/plugin';
import type { ReadContext, SourceItem } from '@pgsilo/plugin';
import { collect, sha256Of } from '../bodies.ts';
import { abortable, broken, mustEqual, mustReject, settle, within } from './check.ts';
import { mustHaveClosed, openResources } from './resources.ts';
import { backUp, largest } from './source-backup.ts';
import type { MadeBackup } from './source-backup.ts';
import { jobOf, mustHaveEnded, prompt, readContext, sourceCheck } from './source-subject.ts';
import type { SourceCheck, SourceUnderCheck } from './source-subject.ts';

/** What two backups of one state have in common: archives say when they were made, so of those only the size. */
async function essenceOf({ view, facts, path }: MadeBackup): Promise<unknown> {
  const artifacts = await Promise.all(
    view.artifacts.map(async ({ name, format, bytes }) => ({
      name,
      format,
      bytes,
      ...(format === 'json' ? { sha256: await sha256Of(createReadStream(path(name))) } : {}),
    })),
  );
  return { artifacts, status: facts.status, about: facts.about };
}

/** A read that has been brought into the middle of its largest artifact's body. */
interface HalfRead {
  readonly items: AsyncIterator<SourceItem>;
  readonly body: AsyncIterator<Uint8Array>;
}

async function readHalf(subject: SourceUnderCheck, name: string, context: ReadContext): Promise<HalfRead> {
  const items = subject.source.read(await jobOf(subject), context)[Symbol.asyncIterator]();
  for (;;) {
    const next = await items.next();
    if (next.done) return broken(`the second read of the unit has no artifact ${name}`);
    if (next.value.type === 'facts') continue;
    if (next.value.name !== name) {
      await collect(next.value.body);
      continue;
    }
    const body = next.value.body[Symbol.asyncIterator]();
    if ((await body.next()).done) broken(`the body of ${name} is empty`);
    return { items, body };
  }
}

/** Reads on to the end, as the engine does. */
async function readOn({ items, body }: HalfRead): Promise<void> {
  while (!(await body.next()).done);
  for (;;) {
    const next = await items.next();
    if (next.done) return;
    if (next.value.type === 'artifact') await collect(next.value.body);
  }
}

async function largestName(subject: SourceUnderCheck): Promise<string> {
  const { name, bytes } = largest((await backUp(subject)).view);
  if (bytes < 2 ** 21)
    broken(
      `the largest artifact has ${bytes} bytes: give the unit several megabytes, so that its producer can be caught at work`,
    );
  return name;
}

export const sourceReadingChecks: readonly SourceCheck[] = [
  sourceCheck(
    {
      name: 'artifacts and facts',
      promise:
        'Reading a job gives each of its units artifacts that hold something, under names that can stand in a key, and facts once.',
      reason: 'A manifest without artifacts, or artifacts without a manifest, cannot be restored.',
    },
    async (subject) => {
      const { view, facts } = await backUp(subject);
      if (view.artifacts.length === 0) broken('the unit has no artifacts');
      for (const { name, bytes } of view.artifacts) {
        if (!/^[a-z0-9][a-z0-9.-]*$/.test(name)) broken(`${JSON.stringify(name)} cannot stand in a key`);
        if (bytes === 0) broken(`the artifact ${name} is empty`);
      }
      const moment = Date.parse(facts.snapshotAt);
      if (!facts.snapshotAt.endsWith('Z') || Number.isNaN(moment))
        broken(`snapshotAt is no moment in UTC: ${facts.snapshotAt}`);
      if (facts.server.version === '' || facts.tool === '') broken('server version or tool is not told');
    },
  ),
  sourceCheck(
    {
      name: 'twice the same',
      promise:
        'Two backups of a server at rest have the same artifacts of the same sizes, and their JSON is equal to the byte.',
      reason: 'Whatever differs is something that a backup left out, or made up.',
    },
    async (subject) => {
      const first = await essenceOf(await backUp(subject));
      mustEqual(await essenceOf(await backUp(subject)), first, 'a second backup');
    },
  ),
  sourceCheck(
    {
      name: 'producer killed',
      promise: 'When the producer is killed half-way, reading throws before the end.',
      reason: 'A dump that died would be stored, cut, as a good one.',
    },
    async (subject) => {
      const name = await largestName(subject);
      const context = readContext(subject.context);
      const half = await readHalf(subject, name, context);
      try {
        await subject.killProducer(context.label);
        const outcome = await within(60_000, 'reading after its producer was killed', settle(readOn(half)));
        if ('value' in outcome)
          return broken(`the producer of ${name} was killed, and reading ended as if all were well`);
        if (!isPgsiloError(outcome.error))
          broken('reading after its producer was killed must throw a PgsiloError', outcome.error);
        return undefined;
      } finally {
        await leave(half);
      }
    },
  ),
  sourceCheck(
    {
      name: 'abort of a read',
      promise:
        'When the signal is aborted, reading ends promptly with the reason, and its children and server sessions are gone.',
      reason: 'A time-out would leave pg_dump and its locks behind, in the way of the next migration.',
    },
    async (subject) => {
      const name = await largestName(subject);
      const { context: own, abort } = abortable(subject.context);
      const half = await readHalf(subject, name, readContext(own));
      if ((await subject.running()).length === 0)
        broken('running() tells of nothing while a body is being read: a check could not see what is left');
      abort();
      try {
        await mustReject(
          within(prompt, 'reading after its abort', readOn(half)),
          'aborted',
          'reading after an abort',
        );
      } finally {
        await leave(half);
      }
      await mustHaveEnded(subject, 'after an abort');
    },
  ),
  sourceCheck(
    {
      name: 'early stop of a read',
      promise: 'When its reader stops, children and server sessions of the job are ended.',
      reason: 'Dumps would go on running after every sink has failed.',
    },
    async (subject) => {
      const half = await readHalf(subject, await largestName(subject), readContext(subject.context));
      await within(prompt, 'stopping a read', leave(half));
      await mustHaveEnded(subject, 'after its reader had stopped');
    },
  ),
  {
    name: 'nothing open after close',
    promise:
      'close ends children and server sessions, those of a read in its middle too, and nothing stays open.',
    reason: 'The command would not end, or leave sessions that hold back vacuum.',
    async run(factory, context) {
      const before = openResources();
      const subject = { ...(await factory()), context };
      const waiver = subject.waived?.[this.name];
      try {
        if (waiver !== undefined) return waiver;
        const half = await readHalf(subject, await largestName(subject), readContext(context));
        await within(prompt, 'close in the middle of a read', subject.source.close());
        await mustHaveEnded(subject, 'after close');
        await settle(leave(half));
      } finally {
        await subject.dispose?.();
      }
      await mustHaveClosed(before, 'a source that was closed');
      return undefined;
    },
  },
];

async function leave({ body, items }: HalfRead): Promise<void> {
  await body.return?.();
  await items.return?.();
}
