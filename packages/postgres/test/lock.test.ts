import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { HeldLock, LockedBy } from '@pgsilo/plugin';
import { testContext } from '@pgsilo/testkit';
import { sharedPostgres, type FreshDatabase, type SharedPostgres } from '@pgsilo/testkit/postgres';
import { parseConnection, takeLock, type ServerSettings } from '../src/index.ts';

let server: SharedPostgres;
let database: FreshDatabase;
let settings: ServerSettings;
const held: HeldLock[] = [];
beforeAll(async () => {
  server = await sharedPostgres();
  database = await server.freshDatabase('lock');
  settings = parseConnection(database.url);
  return () => database.drop();
});
afterEach(async () => {
  for (const lock of held.splice(0)) await lock.release();
});

async function take(name: string, holder = 'test'): Promise<HeldLock> {
  const lock = await takeLock(settings, name, holder, testContext());
  if (!lock.held) throw new Error(`held by ${lock.holder}`);
  held.push(lock);
  return lock;
}

describe('takeLock', () => {
  it('tells the second who holds it since when', async () => {
    const before = Date.now() - 1000;
    await take(
      'nightly',
      'nightly run 20261121T020000Z-7f3a9c on db-host pid 4711 and more that does not fit',
    );
    const second = (await takeLock(settings, 'nightly', 'second', testContext())) as LockedBy;
    expect(second.held).toBe(false);
    expect(second.holder).toMatch(/^nightly run 20261121T020000Z-7f3a9c on db-host/);
    expect(Buffer.byteLength(`pgsilo lock ${second.holder}`)).toBeLessThanOrEqual(63);
    expect(second.since!.getTime()).toBeGreaterThan(before);
    expect(second.since!.getTime()).toBeLessThanOrEqual(Date.now() + 1000);
  });

  it('is one for each name, and free again after its release', async () => {
    const first = await take('a');
    await take('b');
    await first.release();
    await take('a');
    expect(first.lost.aborted).toBe(false);
  });

  it('has many names that do not collide, negative keys among them', async () => {
    for (let index = 0; index < 20; index += 1) {
      const lock = await take(`pipeline ${index}`);
      const again = await takeLock(settings, `pipeline ${index}`, 'x', testContext());
      expect(again).toMatchObject({ held: false, holder: 'test' });
      await lock.release();
    }
  });

  it('reports its loss', async () => {
    const lock = await take('lost');
    await database.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgsilo lock test'`,
    );
    await expect.poll(() => lock.lost.aborted).toBe(true);
    expect(lock.lost.reason).toMatchObject({ code: 'run.lock-lost' });
    await take('lost');
  });

  it('stays while an interrupted run cleans up', async () => {
    const context = testContext();
    const lock = (await takeLock(settings, 'interrupted', 'x', context)) as HeldLock;
    held.push(lock);
    context.abort();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(lock.lost.aborted).toBe(false);
    expect(await takeLock(settings, 'interrupted', 'y', testContext())).toMatchObject({ held: false });
  });
});
