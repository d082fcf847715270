import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { serverUser } from '@pgsilo/testkit/postgres';

/** The server's user calls `pgsilo wal push` and `wal fetch`: a checkout in a folder of root alone it cannot read. */
export function mayReadCheckout(): boolean {
  try {
    execFileSync('cat', [join(import.meta.dirname, '../../packages/cli/src/main.ts')], {
      ...serverUser(),
      cwd: '/',
      stdio: 'ignore',
    });
    return true;
  } catch {
    return false;
  }
}
