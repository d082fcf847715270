import type { CheckResult, Context, Plan } from '@pgsilo/plugin';
import {
  checkPasswords, checkWithSession, connectionForPrograms, describeTool, failed, findTool, openSession, plural, readAccessProblem, runTool, showName, takeSnapshot, type Session,
} from '@pgsilo/postgres'; // prettier-ignore
import { countLargeObjects, requireLargeObjectsKnown } from './large-objects.ts';
import { describeLocks, lockHeadroom, locksHint } from './locks.ts';
import { planUnits } from './plan.ts';
import { databaseOf, type SourceSetup } from './setup.ts';

const applicationName = 'pgsilo check';
/** Part of the server's lock table that one dump may fill without a warning: the application's locks are in it too. */
const comfortable = 0.5;

/** What `pgsilo doctor` says about server, role, list of tenants and client programs. */
export function checkSource(setup: SourceSetup, context: Context): AsyncGenerator<CheckResult> {
  return checkWithSession(
    setup.settings,
    context,
    (session) => look(setup, session, context),
    databaseOf(setup),
  );
}

async function* look(setup: SourceSetup, session: Session, context: Context): AsyncGenerator<CheckResult> {
  yield* checkTools(setup, session, context);
  let plan: Plan | undefined;
  try {
    plan = await planUnits(setup, { lastBytes: () => undefined }, context);
  } catch (error) {
    yield failed('units', error);
  }
  if (plan) yield* describePlan(plan);
  yield await checkAccess(session);
  if (setup.options.globals) yield* checkPasswords(session);
  yield await checkLocks(session);
  yield await checkLargeObjects(setup, session, context);
}

async function* checkTools(
  setup: SourceSetup,
  session: Session,
  context: Context,
): AsyncGenerator<CheckResult> {
  const names = [
    'pg_dump',
    'pg_restore',
    ...(setup.options.globals ? (['pg_dumpall'] as const) : []),
  ] as const;
  for (const name of names) {
    try {
      yield describeTool(await findTool(name, session.major, setup.programs, context.signal));
    } catch (error) {
      yield failed(name, error);
    }
  }
  yield await checkReading(setup, context);
}

/**
 * A client program logs in on its own, perhaps from another machine: only if it can import a snapshot of ours it sees the same server as we do.
 * Its dump of definitions alone locks and looks at all that the real one will.
 */
async function checkReading(setup: SourceSetup, context: Context): Promise<CheckResult> {
  const name = 'pg_dump login';
  const database = databaseOf(setup);
  const session = await openSession(setup.settings, {
    database,
    applicationName,
    purpose: 'check the login of pg_dump',
    signal: context.signal,
  });
  try {
    const tool = await findTool('pg_dump', session.major, setup.programs, context.signal);
    const snapshot = await takeSnapshot(session);
    const connection = connectionForPrograms(setup, session.settings, database, applicationName);
    const nothing = ['--schema-only', '--exclude-schema=*', '--no-password', `--snapshot=${snapshot.id}`];
    await runTool(tool, [...nothing, connection.argument], {
      doing: 'pg_dump',
      env: connection.env,
      signal: context.signal,
    });
    const message = `${tool.name} reaches the same server, database ${showName(database)}`;
    return { name, status: 'ok', message };
  } catch (error) {
    return failed(name, error);
  } finally {
    await session.close();
  }
}

function* describePlan(plan: Plan): Generator<CheckResult> {
  const name = 'units';
  const tenants = plan.jobs.flatMap((job) => job.units).filter((unit) => !unit.name.startsWith('@'));
  yield { name, status: 'ok', message: plural(tenants.length, 'schema') };
  for (const { unit, error } of plan.missing)
    yield {
      name,
      status: 'failed',
      message: `${showName(unit.name)}: ${error.message}`,
      ...(error.hint ? { hint: error.hint } : {}),
    };
  for (const message of plan.warnings) yield { name, status: 'warning', message };
}

async function checkAccess(session: Session): Promise<CheckResult> {
  const name = 'access';
  const problem = await readAccessProblem(session);
  if (problem) return { name, status: 'failed', ...problem };
  return { name, status: 'ok', message: 'all of the database can be read' };
}

async function checkLocks(session: Session): Promise<CheckResult> {
  const name = 'locks';
  const headroom = await lockHeadroom(session);
  const message = describeLocks(session, headroom);
  const hint = locksHint(headroom);
  if (headroom.needed >= headroom.capacity) return { name, status: 'failed', message, hint };
  if (headroom.needed > headroom.capacity * comfortable) return { name, status: 'warning', message, hint };
  return { name, status: 'ok', message };
}

async function checkLargeObjects(
  setup: SourceSetup,
  session: Session,
  context: Context,
): Promise<CheckResult> {
  const name = 'large objects';
  try {
    const objects = await countLargeObjects(session);
    if (objects === 0) return { name, status: 'ok', message: 'there are none' };
    const tool = await findTool('pg_dump', session.major, setup.programs, context.signal);
    await requireLargeObjectsKnown(setup, session, tool);
    const where =
      setup.options.largeObjects === 'database'
        ? 'a part of @database'
        : 'each a part of the tenant whose schema its owner owns';
    return { name, status: 'ok', message: `${plural(objects, 'large object')}, ${where}` };
  } catch (error) {
    return failed(name, error);
  }
}
