import {
  PgsiloError,
  toPgsiloError,
  type Context,
  type Restoration,
  type RestoreOutcome,
  type RestoreRequest,
} from '@pgsilo/plugin';
import { describeServer, openSession, showName, type Session } from '@pgsilo/postgres';
import { artifactOf, readBytes } from './artifacts.ts';
import {
  readGlobalsFile,
  roleFlags,
  rolesOf,
  type GlobalStatement,
  type RoleAttributes,
} from './globals-file.ts';
import { listed } from './restore-problems.ts';
import { targetServer } from './restore-target.ts';
import type { SourceSetup } from './setup.ts';
import { isWord } from './sql-tokens.ts';

/** What there is to do. Roles and tablespaces that exist are left as they are. */
interface GlobalsPlan {
  /** Run in one transaction. */
  readonly roles: readonly GlobalStatement[];
  /** Cannot be run in a transaction; each on its own. */
  readonly tablespaces: readonly GlobalStatement[];
  readonly newRoles: readonly string[];
  readonly newTablespaces: readonly string[];
  readonly existing: number;
  readonly warnings: readonly string[];
}

/** Prepares the restore of `@globals`: creates roles and tablespaces that the server lacks; those that it has are compared, never changed. */
export async function prepareGlobalsRestore(
  setup: SourceSetup,
  request: RestoreRequest,
  context: Context,
): Promise<Restoration> {
  if (request.to !== undefined || request.replace || request.tables) {
    throw new PgsiloError(
      'restore.refused',
      'roles and tablespaces belong to the whole server: they cannot be renamed, replaced or picked by table',
      {
        hint: 'Leave out --to, --replace and --table. Existing roles are kept as they are.',
      },
    );
  }
  const statements = readGlobalsFile(await readBytes(artifactOf(request.backup, 'globals.sql')));
  const session = await openSession(targetServer(setup, request), {
    applicationName: 'pgsilo restore globals',
    purpose: 'restore the globals',
    signal: context.signal,
  });
  try {
    const plan = await planGlobals(session, statements);
    return {
      plan: describe(plan, session),
      run: () => runGlobals(session, plan, request),
      close: () => session.close(),
    };
  } catch (error) {
    await session.close();
    throw error;
  }
}

async function planGlobals(session: Session, statements: readonly GlobalStatement[]): Promise<GlobalsPlan> {
  const roles = await existingRoles(session);
  const spaces = new Set(
    (await session.query<{ name: string }>('SELECT spcname::text AS name FROM pg_tablespace')).map(
      (row) => row.name,
    ),
  );
  const memberships = await existingMemberships(session);
  const newRoles = new Set(rolesOf(statements).filter((role) => !roles.has(role)));
  const newTablespaces = new Set<string>();
  const run: GlobalStatement[] = [];
  const tablespaces: GlobalStatement[] = [];
  const warnings: string[] = [];
  for (const statement of statements) {
    if (statement.kind === 'unknown')
      warnings.push(`a statement is not understood and was left out: ${shorten(statement.sql)}`);
    else if ('tablespace' in statement) {
      if (statement.kind === 'create-tablespace' && !spaces.has(statement.tablespace))
        newTablespaces.add(statement.tablespace);
      if (newTablespaces.has(statement.tablespace)) tablespaces.push(statement);
    } else if ('member' in statement && statement.kind === 'membership') {
      if (newRoles.has(statement.role) || newRoles.has(statement.member)) run.push(statement);
      else if (!memberships.has(membershipKey(statement.role, statement.member))) {
        warnings.push(
          `${showName(statement.member)} is no member of ${showName(statement.role)} as it was in the backup; both exist and are left as they are`,
        );
      }
    } else if (newRoles.has(statement.role)) run.push(statement);
    else if (statement.kind === 'attributes')
      warnings.push(...differences(statement.role, statement.attributes, roles.get(statement.role)));
  }
  return {
    roles: run,
    tablespaces,
    newRoles: [...newRoles],
    newTablespaces: [...newTablespaces],
    existing: rolesOf(statements).length - newRoles.size,
    warnings,
  };
}

async function runGlobals(
  session: Session,
  plan: GlobalsPlan,
  request: RestoreRequest,
): Promise<RestoreOutcome> {
  const warnings = [...plan.warnings];
  await request.step('create roles', async () => {
    await session.query('BEGIN');
    try {
      for (const statement of plan.roles) await runStatement(session, statement);
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
    compared: `${plan.existing} existing roles; created: ${created}`,
    warnings,
    next: ['Restore the databases that need these roles.'],
  };
}

/** The statement's own words never get into a message: a password's verifier may be among them. */
async function runStatement(session: Session, statement: GlobalStatement): Promise<void> {
  try {
    await session.query(statement.kind === 'attributes' ? attributesSql(statement) : statement.sql);
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

/** A new role lacks these anyway, and saying so takes a superuser. */
const saidByDefault = ['NOSUPERUSER', 'NOREPLICATION', 'NOBYPASSRLS'];

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

interface ExistingRole {
  readonly flags: Readonly<Record<string, boolean>>;
  readonly connectionLimit: number;
}

async function existingRoles(session: Session): Promise<ReadonlyMap<string, ExistingRole>> {
  const rows = await session.query<{ name: string; limit: number; flags: boolean[] }>(
    `SELECT rolname::text AS name, rolconnlimit AS limit,
       ARRAY[rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls] AS flags FROM pg_roles`,
  );
  return new Map(
    rows.map((row) => [
      row.name,
      {
        connectionLimit: row.limit,
        flags: Object.fromEntries(roleFlags.map((flag, at) => [flag, row.flags[at] === true])),
      },
    ]),
  );
}

async function existingMemberships(session: Session): Promise<ReadonlySet<string>> {
  const rows = await session.query<{ role: string; member: string }>(
    'SELECT pg_get_userbyid(roleid)::text AS role, pg_get_userbyid(member)::text AS member FROM pg_auth_members',
  );
  return new Set(rows.map((row) => membershipKey(row.role, row.member)));
}

function membershipKey(role: string, member: string): string {
  return `${role}\0${member}`;
}

function differences(
  role: string,
  wanted: RoleAttributes,
  there: ExistingRole | undefined,
): readonly string[] {
  if (!there) return [];
  const differing = Object.entries(wanted.flags)
    .filter(([flag, value]) => there.flags[flag] !== value)
    .map(([flag, value]) => (value ? flag : `NO${flag}`));
  if (wanted.connectionLimit !== there.connectionLimit)
    differing.push(`CONNECTION LIMIT ${wanted.connectionLimit}`);
  return differing.length === 0
    ? []
    : [`role ${showName(role)} exists and is left as it is; in the backup it was ${differing.join(' ')}`];
}

function describe(plan: GlobalsPlan, session: Session): readonly string[] {
  const superusers = plan.roles.flatMap((each) =>
    each.kind === 'attributes' && each.attributes.flags['SUPERUSER'] ? [showName(each.role)] : [],
  );
  return [
    plan.newRoles.length === 0
      ? `Create no roles on ${describeServer(session.settings)}: all are there`
      : `Create ${plan.newRoles.length} roles on ${describeServer(session.settings)}, in one transaction: ${listed(plan.newRoles.map(showName))}`,
    ...(superusers.length > 0 ? [`Of these, superusers: ${listed(superusers)}`] : []),
    `Leave ${plan.existing} roles that exist as they are`,
    ...(plan.newTablespaces.length > 0
      ? [`Create tablespaces: ${listed(plan.newTablespaces.map(showName))}`]
      : []),
  ];
}

/** The beginning of a statement, up to where a password could stand. */
function shorten(sql: string): string {
  const plain = sql.replace(/PASSWORD.*/s, 'PASSWORD …').replaceAll(/\s+/g, ' ');
  return plain.length > 80 ? `${plain.slice(0, 79)}…` : plain;
}
