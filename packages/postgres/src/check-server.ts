import type { CheckResult, Context } from '@pgsilo/plugin';
import { failed } from './check-result.ts';
import type { ServerSettings } from './connection.ts';
import { openSession, type Session } from './session.ts';
import { saferVersion, type Tool } from './tools.ts';

const oldestServer = 14;
const newestServer = 18;

/** What `pgsilo doctor` says about the server itself, then what `look` finds there; that it cannot be reached is a failure of its own, and all that is said. */
export async function* checkWithSession(
  settings: ServerSettings,
  { signal }: Context,
  look: (session: Session) => AsyncIterable<CheckResult>,
  database: string = settings.database,
): AsyncGenerator<CheckResult> {
  let session: Session;
  try {
    session = await openSession(settings, {
      database,
      applicationName: 'pgsilo check',
      purpose: 'check the server',
      signal,
    });
  } catch (error) {
    yield failed('server', error);
    return;
  }
  try {
    yield* checkServer(session);
    yield* look(session);
  } finally {
    await session.close();
  }
}

/** What `pgsilo doctor` says about the server itself. */
export async function* checkServer(session: Session): AsyncGenerator<CheckResult> {
  const { serverVersion, major } = session;
  const name = 'server';
  if (major < oldestServer) {
    yield {
      name,
      status: 'failed',
      message: `PostgreSQL ${serverVersion}; pgsilo knows ${oldestServer} to ${newestServer}`,
      hint: 'Upgrade the server.',
    };
  } else if (major > newestServer) {
    yield {
      name,
      status: 'warning',
      message: `PostgreSQL ${serverVersion} is newer than pgsilo knows (${oldestServer} to ${newestServer})`,
      hint: 'Look for a newer pgsilo.',
    };
  } else yield { name, status: 'ok', message: `PostgreSQL ${serverVersion}` };

  if (session.pooled) {
    yield {
      name: 'pooler',
      status: 'warning',
      message:
        'the connection goes through a pooler; in transaction mode snapshots and the run lock do not hold',
      hint: 'Connect to the server itself.',
    };
  }
  const [standby] = await session.query<{ standby: boolean; feedback: boolean }>(
    `SELECT pg_is_in_recovery() AS standby, current_setting('hot_standby_feedback') = 'on' AS feedback`,
  );
  if (standby?.standby) {
    yield standby.feedback
      ? {
          name: 'standby',
          status: 'ok',
          message: 'the server is a standby with hot_standby_feedback; unlogged tables are not on it',
        }
      : {
          name: 'standby',
          status: 'warning',
          message:
            'the server is a standby without hot_standby_feedback: its recovery may cancel a long backup',
          hint: 'Set hot_standby_feedback = on, or raise max_standby_streaming_delay.',
        };
  }
}

/** What it says about a client program that was found. */
export function describeTool(tool: Tool): CheckResult {
  const { name } = tool;
  const safer = saferVersion(tool);
  const where = tool.prefix.length ? `${tool.prefix[0]} … ${tool.command}` : tool.command;
  return safer
    ? {
        name,
        status: 'warning',
        message: `${tool.version} (${where}) has known security defects`,
        hint: `Update the client programs to ${safer} or later.`,
      }
    : { name, status: 'ok', message: `${tool.version} (${where})` };
}
