import type { Job, Plan, ReadContext, SourceFacts } from '@pgsilo/plugin';
import { collect, testContext, type TestContext } from '@pgsilo/testkit';
import { openSession, parseConnection, quoteIdentifier, createSetup } from '@pgsilo/postgres';
import { options } from '../src/options.ts';
import { planUnits } from '../src/plan.ts';
import { readJob } from '../src/read.ts';
import type { SourceSetup } from '../src/setup.ts';

/** The names that tenants must be able to have. */
export const hostileNames: readonly string[] = [
  'Acme',
  'acme',
  'a b',
  'a"b',
  `a'b`,
  '--file=x',
  'dbname=postgres',
  'postgres://x',
  '../../etc',
  'ñandú',
  'a/b',
  '%41cme',
  'con',
  '.',
  'two\nlines',
  `${'x'.repeat(62)}1`,
  `${'x'.repeat(62)}2`,
  'globals',
  '$(id)',
  '-d',
  'a\\b',
];

/** A setup as the engine would make it from what a person wrote. */
export function setupOf(url: string, written: Record<string, unknown>): SourceSetup {
  const { log } = testContext();
  return createSetup(options.parse({ connection: url, ...written }), { pipeline: 'test', folder: '/', log });
}

/** Runs statements in a database, with `public` in the search path. */
export async function sql<Row extends object = Record<string, unknown>>(
  url: string,
  database: string,
  ...statements: string[]
): Promise<Row[]> {
  const session = await openSession(parseConnection(url), {
    database,
    applicationName: 'fixture',
    purpose: 'prepare a test',
  });
  try {
    await session.query('SET search_path = public');
    let rows: Row[] = [];
    for (const statement of statements) rows = await session.query<Row>(statement);
    return rows;
  } finally {
    await session.close();
  }
}

export async function createDatabases(url: string, names: readonly string[]): Promise<void> {
  await sql(url, 'postgres', ...names.map((name) => `CREATE DATABASE ${quoteIdentifier(name)}`));
}

export function plan(
  setup: SourceSetup,
  lastBytes: Record<string, number> = {},
  context: TestContext = testContext(),
): Promise<Plan> {
  return planUnits(setup, { lastBytes: (unit) => lastBytes[unit] }, context);
}

export function unitNames(from: Plan): string[] {
  return from.jobs.flatMap((job) => job.units.map((unit) => unit.name));
}

let labels = 0;
export function readContext(context: TestContext = testContext()): ReadContext & TestContext {
  labels += 1;
  return { ...context, label: `test-${process.pid}-${labels}` };
}

/** What a job delivered. */
export interface ReadResult {
  readonly artifacts: Readonly<Record<string, Buffer>>;
  readonly facts: readonly SourceFacts[];
}

/** Reads a job as the engine does. */
export async function read(
  setup: SourceSetup,
  job: Job,
  context: ReadContext = readContext(),
): Promise<ReadResult> {
  const artifacts: Record<string, Buffer> = {};
  const facts: SourceFacts[] = [];
  for await (const item of readJob(setup, new Set(), job, context)) {
    if (item.type === 'facts') facts.push(item);
    else artifacts[item.name] = await collect(item.body);
  }
  return { artifacts, facts };
}

export function jobOf(from: Plan, unit: string): Job {
  const job = from.jobs.find((one) => one.units.some(({ name }) => name === unit));
  if (!job) throw new Error(`the plan has no unit ${unit}`);
  return job;
}
