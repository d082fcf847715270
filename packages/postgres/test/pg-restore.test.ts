import { testContext } from '@pgsilo/testkit';
import { expect, it } from 'vitest';
import { parseConnection } from '../src/index.ts';
import { runPgRestore } from '../src/restore/pg-restore.ts';

/** pg_restore that ends with what the server told it. The parameters of a real one stand behind `sh -c script`. */
async function failure(said: string, jobs: number): Promise<unknown> {
  const script = `printf 'pg_restore: error: %s\\n' '${said}' >&2; exit 1`;
  const program = { command: 'pg_restore', prefix: ['/bin/sh', '-c', script], quoting: 'none' } as const;
  const server = parseConnection('postgres://nobody@127.0.0.1:1/none', {});
  const job = {
    setup: { programs: {} },
    tool: { ...program, name: 'pg_restore', version: '18.4', major: 18 },
    server,
    elsewhere: false,
    serverMajor: 18,
    database: 'acme',
    applicationName: 'pgsilo',
    archive: '/dev/null',
    entries: undefined,
    owner: true,
    tablespaces: true,
    jobs,
  } as const;
  return runPgRestore(job, testContext()).catch((error: unknown) => error);
}

it('says what to do when its workers waited for each other, and only then', async () => {
  const said = 'could not execute query: ERROR:  deadlock detected';
  expect(await failure(said, 4)).toMatchObject({
    message: expect.stringContaining(said),
    hint: expect.stringContaining('--jobs 1'),
  });
  expect(await failure(said, 1)).toMatchObject({ hint: undefined });
  expect(await failure('relation exists', 4)).toMatchObject({ hint: undefined });
});
