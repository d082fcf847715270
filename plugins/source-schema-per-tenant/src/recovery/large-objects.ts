import { createReadStream } from 'node:fs';
import { childConnection, runTool, showName } from '@pgsilo/postgres';
import type { PreparedSchema } from './prepared.ts';

/**
 * Makes a tenant's large objects under the numbers that they had: the database is new, and nobody else has these. Before the schema's own transaction, because pg_restore cannot be in it;
 * those of an earlier call that came no further make way.
 */
export async function restoreLargeObjects(prepared: PreparedSchema): Promise<void> {
  const { session, setup, tool, request, largeObjects, applicationName, context } = prepared;
  const far = setup.programs.exec !== undefined;
  const [address] = session.settings.addresses;
  const place = far ? { host: address?.host, port: address?.port } : undefined;
  const { argument, env } = childConnection(session.settings, session.database, applicationName, place);
  for (const { archive } of largeObjects) {
    const args = [
      '--exit-on-error',
      '--single-transaction',
      '--clean',
      '--if-exists',
      '--no-password',
      ...(request.owner ? [] : ['--no-owner', '--no-acl']),
      argument,
      ...(far ? [] : [archive]),
    ];
    await request.step('restore the large objects', () =>
      runTool(tool, args, {
        doing: `pg_restore of large objects into database ${showName(session.database)}`,
        env,
        signal: context.signal,
        onStderr: (line) => context.log.warn(line, { unit: request.backup.unit.name }),
        ...(far ? { input: createReadStream(archive) } : {}),
      }),
    );
  }
}
