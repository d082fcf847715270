import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Job, Plan, ReadContext, SourceFacts } from '@pgsilo/plugin';
import { collect, testContext, type TestContext } from '@pgsilo/testkit';
import { createSetup, openSession, parseConnection } from '@pgsilo/postgres';
import { options } from '../src/options.ts';
import { planUnits } from '../src/plan.ts';
import { readJob } from '../src/read.ts';
import type { SourceSetup } from '../src/setup.ts';
import { SharedSnapshot } from '../src/shared-snapshot.ts';

const execFileAsync = promisify(execFile);

/** The names that schemas of tenants must be able to have. `pg_` alone is the server's own. */
export const hostileNames: readonly string[] = [
  'Acme',
  'acme',
  'a.b',
  'a"b',
  `a'b`,
  'q?x',
  'qyx',
  'x|y',
  'x*',
  'per%cent',
  '$dollar',
  '--schema=x',
  'select',
  'two\nlines',
  'ñandú',
  'back\\slash',
  '..',
  `${'x'.repeat(62)}1`,
  `${'x'.repeat(62)}2`,
];

/** A setup as the engine would make it from what a person wrote; without the roles, which belong to the whole server. */
export function setupOf(url: string, written: Record<string, unknown>): SourceSetup {
  const { log } = testContext();
  return createSetup(options.parse({ connection: url, globals: false, ...written }), {
    pipeline: 'test',
    folder: '/',
    log,
  });
}

/** Runs statements in a database, with nothing but the system in the search path. */
export async function sql<Row extends object = Record<string, unknown>>(
  url: string,
  ...statements: string[]
): Promise<Row[]> {
  const session = await openSession(parseConnection(url), {
    applicationName: 'fixture',
    purpose: 'prepare a test',
  });
  try {
    let rows: Row[] = [];
    for (const statement of statements) rows = await session.query<Row>(statement);
    return rows;
  } finally {
    await session.close();
  }
}

export function plan(setup: SourceSetup, context: TestContext = testContext()): Promise<Plan> {
  return planUnits(setup, { lastBytes: () => undefined }, context);
}

export function unitNames(from: Plan): string[] {
  return from.jobs.flatMap((job) => job.units.map((unit) => unit.name));
}

let labels = 0;
export function readContext(context: TestContext = testContext()): ReadContext & TestContext {
  labels += 1;
  return { ...context, label: `test-${process.pid}-${labels}` };
}

/** What a job delivered, by unit and artifact. */
export interface ReadResult {
  readonly artifacts: ReadonlyMap<string, ReadonlyMap<string, Buffer>>;
  readonly facts: ReadonlyMap<string, SourceFacts['facts']>;
}

/** Reads a job as the engine does. */
export async function read(
  setup: SourceSetup,
  job: Job,
  context: ReadContext = readContext(),
  shared: SharedSnapshot = new SharedSnapshot(setup),
): Promise<ReadResult> {
  const artifacts = new Map<string, Map<string, Buffer>>();
  const facts = new Map<string, SourceFacts['facts']>();
  for await (const item of readJob({ setup, attempts: new Set(), shared }, job, context)) {
    if (item.type === 'facts') facts.set(item.unit, item.facts);
    else {
      const ofUnit = artifacts.get(item.unit) ?? new Map<string, Buffer>();
      ofUnit.set(item.name, await collect(item.body));
      artifacts.set(item.unit, ofUnit);
    }
  }
  return { artifacts, facts };
}

/** Plans and reads everything, all jobs at the same time. */
export async function backUpAll(setup: SourceSetup): Promise<ReadResult> {
  const { jobs } = await plan(setup);
  const shared = new SharedSnapshot(setup);
  try {
    const results = await Promise.all(jobs.map((job) => read(setup, job, readContext(), shared)));
    return {
      artifacts: new Map(results.flatMap(({ artifacts }) => [...artifacts])),
      facts: new Map(results.flatMap(({ facts }) => [...facts])),
    };
  } finally {
    await shared.close();
  }
}

/** The SQL that pg_restore makes of an archive. */
export async function scriptOf(bin: string, archive: Buffer): Promise<string> {
  const running = execFileAsync(`${bin}/pg_restore`, ['-f', '-'], { maxBuffer: 100e6 });
  running.child.stdin!.end(archive);
  return (await running).stdout;
}
