import { createHash } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { PgsiloError, Secret, throwIfAborted } from '@pgsilo/plugin';
import type {
  BackupView, Body, Context, Job, ReadContext, RestoreRequest, Source, SourceItem, SourceTraits,
} from '@pgsilo/plugin'; // prettier-ignore
import type { SourceSubject } from '../src/conformance/index.ts';
import { bodyOf, collect } from '../src/index.ts';

export const fakeSourceTraits: SourceTraits = { consistency: 'unit', pointInTime: false };
export const fakePassword = 'hunter2-hunter2';

/** A server that is nothing but memory. */
export interface FakeServer {
  readonly databases: Map<string, readonly string[]>;
  /** Labels of the reads that run. */
  readonly sessions: Set<string>;
  readonly killed: Set<string>;
  readonly locks: Map<string, string>;
  readonly reachable: boolean;
}

export function fakeServer(reachable = true): FakeServer {
  const rows = Array.from({ length: 2500 }, (_, row) => `${row}\t${'x'.repeat(1000)}`);
  const databases = new Map([
    ['acme', rows],
    ['globex', rows.slice(0, 10)],
  ]);
  return { databases, sessions: new Set(), killed: new Set(), locks: new Map(), reachable };
}

const begin = 'ARCHIVE\n';
const end = '\nEND OF ARCHIVE';

export function parseArchive(bytes: Buffer): readonly string[] {
  const text = String(bytes);
  if (!text.startsWith(begin) || !text.endsWith(end))
    throw new PgsiloError('source.archive-invalid', 'database.dump was cut');
  return text.slice(begin.length, -end.length).split('\n');
}

/** A source that keeps every promise, of the units `acme` and `globex`. */
export function soundSource(server: FakeServer): Source {
  const secret = new Secret(fakePassword);
  let closed = false;

  function connect(): void {
    if (!server.reachable || secret.reveal() === '')
      throw new PgsiloError('source.unreachable', 'the server does not answer');
  }

  async function* dump(rows: readonly string[], context: ReadContext): Body {
    const bytes = Buffer.from(begin + rows.join('\n') + end);
    for (let at = 0; at < bytes.length; at += 65_536) {
      await turn();
      throwIfAborted(context.signal);
      if (closed) throw new PgsiloError('aborted', 'the source was closed');
      if (server.killed.has(context.label))
        throw new PgsiloError('source.failed', 'the program was killed by SIGKILL');
      yield bytes.subarray(at, at + 65_536);
    }
  }

  return {
    async plan() {
      connect();
      const names = ['acme', 'globex'];
      const jobs = names.map((name) => ({
        id: name,
        units: [{ name, labels: {}, origin: { database: name } }],
      }));
      return { jobs, missing: [], warnings: [] };
    },
    async *read(job: Job, context: ReadContext): AsyncGenerator<SourceItem> {
      connect();
      server.sessions.add(context.label);
      try {
        for (const { name: unit } of job.units) {
          const rows = server.databases.get(unit) ?? [];
          yield {
            type: 'artifact',
            unit,
            name: 'database.dump',
            format: 'pg-custom',
            body: dump(rows, context),
          };
          const settings = bodyOf('{"encoding":"UTF8"}');
          yield { type: 'artifact', unit, name: 'settings.json', format: 'json', body: settings };
          const moment = { status: 'good', snapshotAt: '2026-11-21T02:00:00.000Z' } as const;
          const about = { rows: rows.length };
          yield {
            type: 'facts',
            unit,
            facts: { ...moment, server: { version: '15' }, tool: 'memory', about },
          };
        }
      } finally {
        server.sessions.delete(context.label);
      }
    },
    async restore({ backup, to, replace, swap }: RestoreRequest) {
      const live = backup.unit.name;
      const target = replace ? live : (to ?? `${live}_restored`);
      if (!replace && server.databases.has(target))
        throw new PgsiloError('restore.target-exists', `there is a database ${target}`);
      return {
        plan: [`Fill ${target}`],
        async run() {
          const rows = await rowsOf(backup);
          const outcome = { target, compared: `${rows.length} rows`, warnings: [], next: [] };
          if (!replace) {
            server.databases.set(target, rows);
            return outcome;
          }
          const kept = `${live}_before`;
          await swap(live, async () => {
            server.databases.set(kept, server.databases.get(live)!);
            server.databases.set(live, rows);
          });
          return { ...outcome, kept };
        },
        async close() {},
      };
    },
    async *check() {
      connect();
      yield { name: 'server', status: 'ok', message: 'memory' };
    },
    async inspect(backup: BackupView, _context: Context) {
      return { summary: `${(await rowsOf(backup)).length} rows` };
    },
    async compare({ name }, backup) {
      const wanted = (await rowsOf(backup)).length;
      const seen = server.databases.get(name)?.length;
      const differences = seen === wanted ? [] : [`${seen} rows, the backup has ${wanted}`];
      return { compared: `${wanted} rows`, differences };
    },
    async lock(name, holder) {
      const other = server.locks.get(name);
      if (other !== undefined) return { held: false, holder: other, since: undefined };
      server.locks.set(name, holder);
      const release = async (): Promise<void> => void server.locks.delete(name);
      return { held: true, lost: new AbortController().signal, release };
    },
    async close() {
      closed = true;
      server.sessions.clear();
    },
  };
}

export async function rowsOf({ artifacts }: BackupView): Promise<readonly string[]> {
  const dump = artifacts.find(({ name }) => /^database.dump$/i.test(name));
  return parseArchive(await collect(dump!.open()));
}

/** What the suite needs around a source of the fake server. */
export function subjectOf(make: (server: FakeServer) => Source): SourceSubject {
  const server = fakeServer();
  return {
    source: make(server),
    traits: fakeSourceTraits,
    unit: 'acme',
    secrets: [fakePassword],
    endsWithin: 200,
    unreachable: async () => make(fakeServer(false)),
    killProducer: async (label) => void server.killed.add(label),
    running: async () => [...server.sessions],
    targets: async () => [...server.databases.keys()],
    contentOf: async (target = 'acme') =>
      createHash('sha256')
        .update((server.databases.get(target) ?? []).join('\n'))
        .digest('hex'),
    change: async () => {
      const rows = server.databases.get('acme')!;
      server.databases.set('acme', rows.filter((_, index) => index % 3 !== 0)); // prettier-ignore
    },
  };
}
