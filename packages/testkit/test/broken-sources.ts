import { closeSync, openSync } from 'node:fs';
import { PgsiloError } from '@pgsilo/plugin';
import type { Body, Restoration, Source, SourceArtifact, SourceItem } from '@pgsilo/plugin';
import { bodyOf } from '../src/index.ts';
import { fakePassword, soundSource } from './fake-source.ts';
import type { FakeServer } from './fake-source.ts';

/** A source that breaks one promise, and the only check that may find fault with it. */
export interface BrokenSource {
  readonly does: string;
  readonly fails: string;
  make(server: FakeServer): Source;
}

/** Leaks of the fakes, to be ended after the tests. */
export const leaks: (() => void)[] = [];

function fake(
  fails: string,
  does: string,
  change: (inner: Source, server: FakeServer) => Partial<Source>,
): BrokenSource {
  return {
    does,
    fails,
    make(server) {
      const inner = soundSource(server);
      return { ...inner, ...change(inner, server) };
    },
  };
}

/** Changes what comes of a read. */
function reading(inner: Source, change: (item: SourceItem) => SourceItem): Partial<Source> {
  return {
    async *read(...call) {
      for await (const item of inner.read(...call)) yield change(item);
    },
  };
}

function artifactOf(item: SourceItem, name: string): SourceArtifact | undefined {
  return item.type === 'artifact' && item.name === name ? item : undefined;
}

/** Changes how a restore runs; `replace` says which of both ways it is. */
function restoring(
  inner: Source,
  change: (restoration: Restoration, replace: boolean) => Partial<Restoration>,
): Partial<Source> {
  return {
    async restore(request, context) {
      const restoration = await inner.restore(request, context);
      return { ...restoration, ...change(restoration, request.replace) };
    },
  };
}

async function* endedByDeath(body: Body): Body {
  try {
    yield* body;
  } catch (error) {
    if (!(error instanceof PgsiloError && error.code === 'source.failed')) throw error;
  }
}

const nothing = { jobs: [], missing: [], warnings: [] };

const planning: readonly BrokenSource[] = [
  fake('unreachable server', 'takes no answer for no tenants', (inner, server) => ({
    plan: async (...call) => (server.reachable ? inner.plan(...call) : nothing),
  })),
  fake('unreachable server', 'throws what its library threw', (inner, server) => ({
    plan: async (...call) => {
      if (!server.reachable) throw new Error('connect ECONNREFUSED');
      return inner.plan(...call);
    },
  })),
  fake('check tells the unreachable', 'does not try', () => ({
    async *check() {
      yield { name: 'server', status: 'ok', message: 'it will be there' };
    },
  })),
  fake('check tells the unreachable', 'finds fault with a sound server', (inner) => ({
    async *check(context) {
      yield* inner.check(context);
      yield { name: 'server', status: 'failed', message: 'I do not like it' };
    },
  })),
  fake('stable units', 'numbers its jobs anew', (inner) => {
    let turn = 0;
    return {
      async plan(...call) {
        turn += 1;
        const plan = await inner.plan(...call);
        return { ...plan, jobs: plan.jobs.map((job) => ({ ...job, id: `${turn}-${job.id}` })) };
      },
    };
  }),
  fake('names of units', 'has a unit twice', (inner) => ({
    async plan(...call) {
      const plan = await inner.plan(...call);
      return { ...plan, jobs: [...plan.jobs, { ...plan.jobs[1]!, id: 'again' }] };
    },
  })),
  fake('names of units', 'has a unit whose name is kept for the engine', (inner) => ({
    async plan(...call) {
      const plan = await inner.plan(...call);
      const unit = { name: '_globals', labels: {}, origin: {} };
      return { ...plan, jobs: [...plan.jobs, { id: 'globals', units: [unit] }] };
    },
  })),
  fake('secrets do not print', 'warns with its connection string', (inner) => ({
    async plan(...call) {
      const warnings = [`planned at postgresql://backup:${fakePassword}@db`];
      return { ...(await inner.plan(...call)), warnings };
    },
  })),
];

const readings: readonly BrokenSource[] = [
  fake('artifacts and facts', 'has a name that no key can hold', (inner) =>
    reading(
      inner,
      (item) => (artifactOf(item, 'database.dump') ? { ...item, name: 'Database.dump' } : item) as SourceItem,
    ),
  ),
  fake('artifacts and facts', 'has an artifact of nothing', (inner) =>
    reading(inner, (item) => {
      const settings = artifactOf(item, 'settings.json');
      return settings ? { ...settings, body: bodyOf() } : item;
    }),
  ),
  fake('artifacts and facts', 'tells a local time', (inner) =>
    reading(inner, (item) =>
      item.type === 'facts' ? { ...item, facts: { ...item.facts, snapshotAt: '2026-11-21 02:00' } } : item,
    ),
  ),
  fake('twice the same', 'writes down how often it was asked', (inner) => {
    let turn = 0;
    return reading(inner, (item) => {
      const settings = artifactOf(item, 'settings.json');
      return settings ? { ...settings, body: bodyOf(`{"turn":${(turn += 1)}}`) } : item;
    });
  }),
  fake('producer killed', 'takes the end of a pipe for the end of a dump', (inner) =>
    reading(inner, (item) => (item.type === 'artifact' ? { ...item, body: endedByDeath(item.body) } : item)),
  ),
  fake('abort of a read', 'does not listen', (inner) => ({
    read: (job, context) => inner.read(job, { ...context, signal: new AbortController().signal }),
  })),
  fake('abort of a read', 'leaves its session behind', (inner, server) => ({
    async *read(job, context) {
      try {
        yield* inner.read(job, context);
      } finally {
        if (context.signal.aborted) server.sessions.add(context.label);
      }
    },
  })),
  fake('early stop of a read', 'lets its session run on', (inner, server) => ({
    async *read(job, context) {
      let ended = false;
      try {
        yield* inner.read(job, context);
        ended = true;
      } catch (error) {
        ended = true;
        throw error;
      } finally {
        if (!ended && !context.signal.aborted) server.sessions.add(context.label);
      }
    },
  })),
  fake('nothing open after close', 'leaves the session of a running read', () => ({ close: async () => {} })),
  fake('nothing open after close', 'leaves a file open', (inner) => ({
    async close() {
      const file = openSync('/dev/null', 'r');
      leaks.push(() => closeSync(file));
      await inner.close();
    },
  })),
];

const restorings: readonly BrokenSource[] = [
  fake('back up, restore, same', 'alters a row', (inner, server) =>
    restoring(inner, ({ run }, replace) => ({
      async run() {
        const outcome = await run();
        const rows = server.databases.get(outcome.target)!;
        if (!replace) server.databases.set(outcome.target, ['altered', ...rows.slice(1)]);
        return outcome;
      },
    })),
  ),
  fake('back up, restore, same', 'touches the live one', (inner, server) =>
    restoring(inner, ({ run }, replace) => ({
      async run() {
        const outcome = await run();
        if (!replace) server.databases.set('acme', server.databases.get(outcome.target)!);
        return outcome;
      },
    })),
  ),
  fake('back up, restore, same', 'does not say what it compared', (inner) =>
    restoring(inner, ({ run }) => ({ run: async () => ({ ...(await run()), compared: '' }) })),
  ),
  fake('looking writes nothing', 'begins before it is told to', (inner, server) => ({
    async restore(request, context) {
      const restoration = await inner.restore(request, context);
      server.databases.set('work', []);
      return {
        ...restoration,
        async run() {
          server.databases.delete('work');
          return restoration.run();
        },
      };
    },
  })),
  fake('taken target', 'overwrites', (inner, server) => ({
    async restore(request, context) {
      if (request.to !== undefined) server.databases.delete(request.to);
      return inner.restore(request, context);
    },
  })),
  fake('taken target', 'refuses with another code', (inner, server) => ({
    async restore(request, context) {
      if (request.to !== undefined && server.databases.has(request.to))
        throw new PgsiloError('restore.failed', 'no');
      return inner.restore(request, context);
    },
  })),
  fake('replace', 'drops what it replaced', (inner, server) =>
    restoring(inner, ({ run }) => ({
      async run() {
        const outcome = await run();
        if (outcome.kept !== undefined) server.databases.delete(outcome.kept);
        return outcome;
      },
    })),
  ),
  fake('replace', 'does not tell of the exchange', (inner) => ({
    restore: (request, context) => inner.restore({ ...request, swap: (_live, work) => work() }, context),
  })),
  fake('replace', 'exchanges before it tells of it', (inner) => ({
    restore: (request, context) =>
      inner.restore(
        {
          ...request,
          swap: async (live, work) => {
            const done = await work();
            return request.swap(live, async () => done);
          },
        },
        context,
      ),
  })),
  fake('replace', 'puts nothing in its place', (inner, server) =>
    restoring(inner, ({ run }, replace) => ({
      async run() {
        const outcome = await run();
        if (replace) server.databases.set('acme', server.databases.get(outcome.kept!)!);
        return outcome;
      },
    })),
  ),
  fake('damaged backup', 'leaves half a copy', (inner, server) =>
    restoring(inner, ({ run }) => ({
      async run() {
        try {
          return await run();
        } catch (error) {
          server.databases.set('acme_half', []);
          throw error;
        }
      },
    })),
  ),
  fake('inspect', 'believes everything', () => ({ inspect: async () => ({ summary: 'good' }) })),
  fake('compare', 'never finds a difference', () => ({
    compare: async () => ({ compared: 'all', differences: [] }),
  })),
  fake('lock', 'gives it to everybody', () => ({
    lock: async () => ({ held: true, lost: new AbortController().signal, release: async () => {} }),
  })),
  fake('lock', 'never gives it back', (inner) => ({
    async lock(...call) {
      const attempt = await inner.lock!(...call);
      return attempt.held ? { ...attempt, release: async () => {} } : attempt;
    },
  })),
];

export const brokenSources: readonly BrokenSource[] = [...planning, ...readings, ...restorings];
