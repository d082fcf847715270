import {
  PgsiloError,
  toPgsiloError,
  type Context,
  type Restoration,
  type RestoreOutcome,
  type RestoreRequest,
} from '@pgsilo/plugin';
import { describeServer, type ServerSettings } from '../connection.ts';
import { plural } from '../plural.ts';
import { showName } from '../quoting.ts';
import { listed } from '../restore/problems.ts';
import { targetServer } from '../restore/target.ts';
import { openSession, type Session } from '../session.ts';
import { isWord, placesOf } from '../sql-tokens.ts';
import type { GlobalStatement } from './file.ts';
import { planGlobals, shorten, type GlobalsPlan } from './plan.ts';

/**
 * Prepares the restore of roles and tablespaces alone: creates those that the server lacks; those that it has are compared, never changed.
 * @param own the pipeline's server, for a request that names no other.
 */
export async function prepareGlobalsRestore(
  own: ServerSettings,
  statements: readonly GlobalStatement[],
  request: RestoreRequest,
  context: Context,
): Promise<Restoration> {
  const session = await openSession(targetServer(own, request), {
    applicationName: 'pgsilo restore globals',
    purpose: 'restore the globals',
    signal: context.signal,
  });
  try {
    const plan = await planGlobals(session, statements);
    return {
      plan: describeGlobals(plan, session),
      run: () => runGlobals(session, plan, request),
      close: () => session.close(),
    };
  } catch (error) {
    await session.close();
    throw error;
  }
}

/** Before anything is read: what a request asks for that roles and tablespaces do not have. */
export function refuseForGlobals(request: RestoreRequest): void {
  const { to, into, toSchema, replace, tables, rows } = request;
  if ((to ?? into ?? toSchema) === undefined && !replace && !tables && !rows) return;
  throw new PgsiloError(
    'restore.refused',
    'roles and tablespaces belong to the whole server: they cannot be renamed, replaced or picked by table or row',
    {
      hint: 'Leave out --to, --into, --to-schema, --replace, --table and --rows. Existing roles are kept as they are.',
    },
  );
}

/** Creates what the plan says: roles in one transaction, then tablespaces. */
export async function runGlobals(
  session: Session,
  plan: GlobalsPlan,
  request: Pick<RestoreRequest, 'step'>,
): Promise<RestoreOutcome> {
  const warnings = [...plan.warnings];
  await request.step('create roles', async () => {
    await session.query('BEGIN');
    try {
      for (const statement of plan.roles) await runStatement(session, statement, plan.superuser);
      await session.query('COMMIT');
    } catch (error) {
      await session.query('ROLLBACK').catch(() => undefined);
      throw error;
    }
  });
  if (plan.tablespaces.length > 0) {
    await request.step('create tablespaces', async () => {
      for (const statement of plan.tablespaces) {
        try {
          await session.query(statement.sql);
        } catch (error) {
          warnings.push(`${shorten(statement.sql)}: ${toPgsiloError(error).message}`);
        }
      }
    });
  }
  const created = plan.newRoles.length === 0 ? 'no roles' : `roles ${listed(plan.newRoles.map(showName))}`;
  return {
    target: describeServer(session.settings),
    compared: `${plural(plan.existing, 'existing role')}; created: ${created}`,
    warnings,
    next: ['Restore the databases that need these roles.'],
  };
}

/** The statement's own words never get into a message: a password's verifier may be among them. */
async function runStatement(session: Session, statement: GlobalStatement, superuser: boolean): Promise<void> {
  try {
    await session.query(sqlOf(statement, superuser));
  } catch (error) {
    const known = toPgsiloError(error, 'restore.failed');
    if (known.code === 'aborted') throw known;
    const what = 'role' in statement ? `${statement.kind} ${showName(statement.role)}` : statement.kind;
    throw new PgsiloError(
      known.code === 'source.denied' ? 'restore.denied' : 'restore.failed',
      `globals were not restored, nothing was changed (${what}): ${known.message}`,
      {
        cause: error,
        hint: 'Creating roles takes CREATEROLE, creating superusers a superuser.',
      },
    );
  }
}

function sqlOf(statement: GlobalStatement, superuser: boolean): string {
  if (statement.kind === 'attributes') return attributesSql(statement);
  const granted =
    statement.kind === 'membership' && !superuser ? placesOf(statement.tokens, 'GRANTED').at(-1) : undefined;
  // Only a superuser may say that somebody else granted it.
  return granted === undefined
    ? statement.sql
    : statement.sql.slice(0, statement.tokens[granted]!.start - statement.tokens[0]!.start);
}

/** A new role lacks these anyway, and saying so takes a superuser, or a role that has them itself. */
const saidByDefault = ['NOSUPERUSER', 'NOREPLICATION', 'NOBYPASSRLS', 'NOCREATEDB', 'NOCREATEROLE'];

function attributesSql(statement: GlobalStatement): string {
  const { sql, tokens } = statement;
  const origin = tokens[0]!.start;
  let text = '';
  let from = 0;
  for (const token of tokens) {
    if (!saidByDefault.some((word) => isWord(token, word))) continue;
    text += sql.slice(from, token.start - origin);
    from = token.end - origin;
  }
  return text + sql.slice(from);
}

/** What there is to do, a sentence each. */
export function describeGlobals(plan: GlobalsPlan, session: Session): readonly string[] {
  const superusers = plan.roles.flatMap((each) =>
    each.kind === 'attributes' && each.attributes.flags['SUPERUSER'] ? [showName(each.role)] : [],
  );
  return [
    plan.newRoles.length === 0
      ? `Create no roles on ${describeServer(session.settings)}: all are there`
      : `Create ${plural(plan.newRoles.length, 'role')} on ${describeServer(session.settings)}, in one transaction: ${listed(plan.newRoles.map(showName))}`,
    ...(superusers.length > 0 ? [`Of these, superusers: ${listed(superusers)}`] : []),
    `Leave ${plural(plan.existing, 'role')} that ${plan.existing === 1 ? 'exists as it is' : 'exist as they are'}`,
    ...(plan.newTablespaces.length > 0
      ? [`Create tablespaces: ${listed(plan.newTablespaces.map(showName))}`]
      : []),
  ];
}
