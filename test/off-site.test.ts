import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeGpgHome } from '../plugins/transform-gpg/test/gpg-home.ts';
import type { GpgHome } from '../plugins/transform-gpg/test/gpg-home.ts';
import { contentOf } from './services/equality.ts';
import { createFleet, tenants } from './services/fleet.ts';
import { objectStoreHere, startObjectStore, type ObjectStore } from './services/object-store.ts';
import { pgsilo, pgsiloOk, type CallOptions } from './services/pgsilo.ts';
import { startServer, type TestServer } from './services/server.ts';

const installed = await objectStoreHere();

// Each stands on those before it.
describe.skipIf('unavailable' in installed)('examples/off-site', { timeout: 180_000 }, () => {
  let server: TestServer;
  let store: ObjectStore;
  let operators: GpgHome;
  let vault: string;
  let at: CallOptions;

  beforeAll(async () => {
    [server, store] = await Promise.all([startServer(), startObjectStore(installed)]);
    await createFleet(server, tenants.slice(0, 2));
    operators = await makeGpgHome();
    await operators.makeKey('ops');
    await operators.makeKey('ops-sign');
    const cwd = join(server.folder, 'example');
    cpSync(join(import.meta.dirname, '..', 'examples', 'off-site'), cwd, { recursive: true });
    cpSync(await operators.exportPublic('ops'), join(cwd, 'ops.asc'));
    cpSync(await operators.exportPrivate('ops-sign'), join(cwd, 'ops-sign.asc'));
    // Another file system, as another machine's folder would be.
    vault = mkdtempSync('/dev/shm/pgsilo-test-');
    at = {
      cwd,
      env: {
        ...operators.env,
        VIGIA_URL: server.url,
        VIGIA_BACKUPS: join(server.folder, 'backups'),
        VIGIA_VAULT: vault,
        OPS_SIGN_PASSPHRASE: 'none is needed',
        OFF_SITE_ENDPOINT: store.endpoint,
        OFF_SITE_BUCKET: 'backups',
        AWS_REGION: store.region,
        AWS_ACCESS_KEY_ID: store.accessKeyId,
        AWS_SECRET_ACCESS_KEY: store.secretAccessKey,
      },
    };
  });
  afterAll(async () => {
    if (vault) rmSync(vault, { recursive: true, force: true });
    await operators?.dispose();
    await store?.stop();
    await server?.stop();
  });

  const sinksOf = async (file: string): Promise<string[]> => {
    const { backups } = (await pgsiloOk(['list', file, '--json'], at)).json();
    return backups.map(({ sinks }: { sinks: string[] }) => sinks.join(' '));
  };

  it('is valid, and a doctor finds nothing wrong with it', async () => {
    await pgsiloOk(['validate', 'pipeline.yaml', 'per-tenant-keys.yaml'], at);
    const { checks } = (await pgsiloOk(['doctor', 'pipeline.yaml', '--json'], at)).json();
    expect(checks.filter(({ status }: { status: string }) => status === 'failed')).toEqual([]);
    expect(checks.length).toBeGreaterThan(10);
  });

  it('goes on when the line is down, says so, and is filled afterwards without the server', async () => {
    const down = { ...at, env: { ...at.env, OFF_SITE_ENDPOINT: 'http://127.0.0.1:1' } };
    const alone = await pgsiloOk(['backup', 'pipeline.yaml'], down);
    expect(alone.all).toContain('sink off-site (not required) lacks 4 of 4 units');
    expect(await sinksOf('pipeline.yaml')).toEqual(Array(4).fill('local'));
    const dead = { ...at, env: { ...at.env, VIGIA_URL: 'postgres://nobody@127.0.0.1:1/none' } };
    for (const to of ['off-site', 'archive'])
      await pgsiloOk(['copy', 'pipeline.yaml', '--from', 'local', '--to', to], dead);
    expect(await sinksOf('pipeline.yaml')).toEqual(Array(4).fill('local off-site archive'));
  });

  it('feeds all from one pass, but the archive only once a month', async () => {
    const run = (await pgsiloOk(['backup', 'pipeline.yaml', '--json'], at)).json();
    for (const { sinks } of run.runs[0].report.units)
      expect(sinks.map(({ status }: { status: string }) => status)).toEqual(['stored', 'stored', 'not-due']);
    const missing = (await pgsiloOk(['list', 'pipeline.yaml', '--json'], at)).json();
    for (const { missingFrom } of missing.backups) expect(missingFrom).toEqual([]);
  });

  it('cannot be read where the private key is not, and comes back from elsewhere where it is', async () => {
    const restore = ['restore', 'pipeline.yaml', 'acme', '--from', 'off-site', '--to', 'acme_again'];
    const blind = await pgsilo(restore, at);
    expect(blind.exit).not.toBe(0);
    expect(blind.stderr).toContain('transform.key-missing');
    const file = join(at.cwd, 'restorer.yaml');
    writeFileSync(
      file,
      'extends: ./pipeline.yaml\ntransforms:\n  - use: zstd\n  - { use: gpg, recipients: [ops.asc], decryptWith: gpg }\n',
    );
    await pgsiloOk(['verify', 'restorer.yaml', '--level', 'decode', '--sink', 'off-site'], at);
    await pgsiloOk(restore.with(1, 'restorer.yaml'), at);
    expect(await contentOf(server, 'acme_again')).toEqual(await contentOf(server, 'acme_db'));
  });

  it('has a key for each tenant where that is asked for, in a keyring whose copy a doctor has seen', async () => {
    mkdirSync(join(at.cwd, 'keys'), { mode: 0o700 });
    await pgsiloOk(['backup', 'per-tenant-keys.yaml'], at);
    await pgsiloOk(['doctor', 'per-tenant-keys.yaml'], at);
    const restore = [
      'restore',
      'per-tenant-keys.yaml',
      'globex',
      '--from',
      'archive',
      '--to',
      'globex_again',
    ];
    await pgsiloOk(restore, at);
    expect(await contentOf(server, 'globex_again')).toEqual(await contentOf(server, 'globex_db'));
    rmSync(join(vault, 'globex'), { recursive: true });
    const sick = await pgsilo(['doctor', 'per-tenant-keys.yaml'], at);
    expect(sick.exit).toBe(1);
    expect(sick.all).toMatch(/lacks 1 of 4 keys/);
  });
});
