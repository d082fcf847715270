import type { CheckResult, Context, Plan } from '@pgsilo/plugin';
import {
  findTool,
  openSession,
  plural,
  runTool,
  showName,
  type Session,
  type Tool,
  type ToolName,
  failed,
  takeSnapshot,
  checkWithSession,
  connectionForPrograms,
  describeTool,
  failsAtFirst,
  findPgRestore,
} from '@pgsilo/postgres';
import { checkAccess } from './check-access.ts';
import { checkLockHeadroom } from './check-locks.ts';
import { planUnits } from './plan.ts';
import type { SourceSetup } from './setup.ts';

const applicationName = 'pgsilo check';

/** What `pgsilo doctor` says about server, role, list of tenants and client programs. */
export function checkSource(setup: SourceSetup, context: Context): AsyncGenerator<CheckResult> {
  return checkWithSession(setup.settings, context, (session) => look(setup, session, context));
}

async function* look(setup: SourceSetup, session: Session, context: Context): AsyncGenerator<CheckResult> {
  yield* checkTools(setup, session, context);
  let plan: Plan | undefined;
  try {
    plan = await planUnits(setup, { lastBytes: () => undefined }, context);
  } catch (error) {
    yield failed('units', error);
  }
  if (!plan) return;
  yield* describePlan(plan);
  yield* checkAccess(setup, session, plan, context);
  yield* checkLockHeadroom(setup, session, plan, context);
}

async function* checkTools(
  setup: SourceSetup,
  session: Session,
  context: Context,
): AsyncGenerator<CheckResult> {
  const names: ToolName[] = ['pg_dump', ...(setup.options.globals ? (['pg_dumpall'] as const) : [])];
  let dump: Tool | undefined;
  for (const name of names) {
    try {
      const tool = await findTool(name, session.major, setup.programs, context.signal);
      if (name === 'pg_dump') dump = tool;
      yield describeTool(tool);
    } catch (error) {
      yield failed(name, error);
    }
  }
  try {
    // An archive of that pg_dump is restored by no older pg_restore.
    const tool = await findPgRestore(setup, session.major, dump?.major ?? session.major, context.signal);
    yield describeTool(tool);
    if (failsAtFirst(tool.major, session.major)) yield newerRestore(tool, session);
  } catch (error) {
    yield failed('pg_restore', error);
  }
  yield await checkProgramLogin(setup, context);
}

function newerRestore(tool: Tool, session: Session): CheckResult {
  return {
    name: 'pg_restore',
    status: 'warning',
    message: `${tool.version} is the one to restore with, and PostgreSQL ${session.major} does not know what it says first (SET transaction_timeout): pgsilo restores past that, with one job`,
    hint: `Install the client programs of PostgreSQL ${session.major} for restores with several jobs, and for restores by hand.`,
  };
}

/** A client program logs in on its own, perhaps from another machine: only if it can import a snapshot of ours it sees the same server as we do. */
async function checkProgramLogin(setup: SourceSetup, context: Context): Promise<CheckResult> {
  const name = 'pg_dump login';
  const session = await openSession(setup.settings, {
    applicationName,
    purpose: 'check the login of pg_dump',
    signal: context.signal,
  });
  try {
    const tool = await findTool('pg_dump', session.major, setup.programs, context.signal);
    const snapshot = await takeSnapshot(session);
    const connection = connectionForPrograms(setup, session.settings, session.database, applicationName);
    const nothing = ['--schema-only', '--exclude-schema=*', '--no-password', `--snapshot=${snapshot.id}`];
    await runTool(tool, [...nothing, connection.argument], {
      doing: 'pg_dump',
      env: connection.env,
      signal: context.signal,
    });
    return {
      name,
      status: 'ok',
      message: `${tool.name} reaches the same server, database ${showName(session.database)}`,
    };
  } catch (error) {
    return failed(name, error);
  } finally {
    await session.close();
  }
}

function* describePlan(plan: Plan): Generator<CheckResult> {
  const databases = plan.jobs.flatMap((job) => job.units).filter((unit) => !unit.name.startsWith('@')).length;
  yield {
    name: 'units',
    status: 'ok',
    message: plural(databases, 'database'),
  };
  for (const { unit, error } of plan.missing) {
    yield {
      name: 'units',
      status: 'failed',
      message: `${showName(unit.name)}: ${error.message}`,
      ...(error.hint ? { hint: error.hint } : {}),
    };
  }
  for (const message of plan.warnings) yield { name: 'units', status: 'warning', message };
}
