import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { makeGpgHome } from '../plugins/transform-gpg/test/gpg-home.ts';
import type { GpgHome } from '../plugins/transform-gpg/test/gpg-home.ts';
import { standIns } from './services/client-programs.ts';
import { contentOf } from './services/equality.ts';
import { createFleet, tenants, writePipeline } from './services/fleet.ts';
import { pgsilo, pgsiloOk, type CallOptions } from './services/pgsilo.ts';
import { sealedDocument } from './services/sealed-document.ts';
import { startServer, type TestServer } from './services/server.ts';
import { backupsIn, type StoredBackup } from './services/store-folder.ts';

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

describe('an encrypted backup', { timeout: 120_000 }, () => {
  let server: TestServer;
  let operators: GpgHome;
  let at: CallOptions;
  /** Decrypts with a key in a file; and with the same one in gpg's agent. */
  let byFile: string;
  let byGpg: string;
  let acme: StoredBackup;
  let archive: string;
  let original: { readonly archive: Buffer; readonly manifest: string };
  let calls: string;

  beforeAll(async () => {
    server = await startServer();
    await createFleet(server, tenants.slice(0, 1));
    operators = await makeGpgHome();
    await operators.makeKey('ops');
    at = { cwd: server.folder, env: { VIGIA_URL: server.url, GNUPGHOME: operators.path } };
    calls = join(server.folder, 'pg_restore.log');
    const bin = standIns(server, { pg_restore: `echo "$@" >> '${calls}'\nexec "$REAL" "$@"` });
    const recipients = await operators.exportPublic('ops');
    const keys = `decryptKeys: [${await operators.exportPrivate('ops')}]`;
    byFile = writePipeline(server, {
      name: 'sealed',
      source: `  bin: ${bin}`,
      transform: `gpg\n    recipients: [${recipients}]\n    ${keys}`,
    });
    byGpg = 'by-gpg.yaml';
    const text = readFileSync(join(server.folder, byFile), 'utf8');
    writeFileSync(join(server.folder, byGpg), text.replace(keys, 'decryptWith: gpg'));
    await pgsiloOk(['backup', byFile], at);
    acme = backupsIn(join(server.folder, 'store', 'sealed')).find(({ unit }) => unit === 'acme')!;
    archive = join(acme.folder, 'database.dump.gpg');
    original = { archive: readFileSync(archive), manifest: readFileSync(manifestOf(acme), 'utf8') };
  });
  afterEach(() => {
    writeFileSync(archive, original.archive);
    writeFileSync(manifestOf(acme), original.manifest);
    writeFileSync(calls, '');
  });
  afterAll(async () => {
    await operators?.dispose();
    await server?.stop();
  });

  const manifestOf = ({ folder }: StoredBackup): string => join(folder, 'manifest.json');
  const restoresRun = (): string => readFileSync(calls, 'utf8');

  it('is restored with a key of a file, and with one of the agent', async () => {
    for (const [index, file] of [byFile, byGpg].entries()) {
      await pgsiloOk(['restore', file, 'acme', '--to', `acme_${index}`], at);
      expect(await contentOf(server, `acme_${index}`)).toEqual(await contentOf(server, 'acme_db'));
      // What the tests below rely on: a restore that began is on record.
      expect(restoresRun()).toContain('database.dump');
      writeFileSync(calls, '');
    }
    for (const index of [0, 1]) await server.query('postgres', `DROP DATABASE acme_${index}`);
  });

  it('is restored by gpg and pg_restore alone, as `show` says', async () => {
    const { byHand } = (await pgsiloOk(['show', byFile, 'acme', '--json'], at)).json<{ byHand: string[] }>();
    await execa('bash', ['-eo', 'pipefail', '-c', byHand.join('\n').replaceAll('NEW_DATABASE', 'by_hand')], {
      cwd: acme.folder,
      env: {
        GNUPGHOME: operators.path,
        PGHOST: server.host,
        PGPORT: String(server.port),
        PGUSER: server.user,
        PGPASSWORD: server.password,
        PATH: `${server.bin}:${process.env['PATH']}`,
      },
    });
    expect(await contentOf(server, 'by_hand')).toEqual(await contentOf(server, 'acme_db'));
    await server.query('postgres', 'DROP DATABASE by_hand');
  });

  /** What somebody can do who writes to the sink and knows the format, and even what the altered bytes decrypt to. */
  async function forge(altered: Buffer): Promise<void> {
    const { stdout } = await operators.run(['--ignore-mdc-error', '--decrypt'], altered);
    const manifest = JSON.parse(original.manifest);
    const entry = manifest.artifacts.find(({ name }: { name: string }) => name === 'database.dump');
    Object.assign(entry, { storedBytes: altered.length, storedSha256: sha256(altered) });
    Object.assign(entry, { bytes: stdout.length, sha256: sha256(stdout) });
    writeFileSync(archive, altered);
    writeFileSync(manifestOf(acme), sealedDocument(manifest));
  }

  const flipped = (place: number): Buffer => {
    const altered = Buffer.from(original.archive);
    altered[place]! ^= 1;
    return altered;
  };
  it.each([
    ['one bit in the middle altered', () => flipped(original.archive.length >> 1)],
    ['one bit near its end altered', () => flipped(original.archive.length - 30)],
    ['its check altered', () => flipped(original.archive.length - 1)],
    ['its end cut off', () => original.archive.subarray(0, -30)],
  ])(
    'with %s, and a manifest forged to fit that, reaches no pg_restore, whoever decrypts it',
    async (_, alter) => {
      const before = { databases: await server.databases(), content: await contentOf(server, 'acme_db') };
      await forge(alter());
      for (const call of [
        ['restore', byFile, 'acme', '--to', 'copy'],
        ['restore', byGpg, 'acme', '--replace', '--yes'],
      ]) {
        const refused = await pgsilo(call, at);
        expect(refused.exit, `${refused.stderr}`).toBe(1);
        expect(refused.stderr.replaceAll(/\s+/g, ' ')).toContain('the encrypted bytes do not decrypt');
      }
      const verified = await pgsilo(['verify', byFile, 'acme', '--level', 'decode', '--json'], at);
      expect(verified.json()['checked']).toMatchObject([
        { unit: 'acme', status: 'failed', error: { code: 'transform.corrupt' } },
      ]);
      expect(restoresRun()).toBe('');
      expect(await server.databases()).toEqual(before.databases);
      expect(await contentOf(server, 'acme_db')).toEqual(before.content);
    },
  );

  it('cannot be made to a key that expired, and doctor says so before', async () => {
    const longAgo = { at: '20200101T120000', expire: '1y' };
    await operators.makeKey('expired', longAgo);
    const expired = writePipeline(server, {
      name: 'expired',
      transform: `gpg\n    recipients: [${await operators.exportPublic('expired')}]`,
    });
    await pgsiloOk(['validate', expired], at);
    const found = await pgsilo(['doctor', expired, '--json'], at);
    expect(found.exit).toBe(1);
    expect(found.json()['checks']).toContainEqual(
      expect.objectContaining({
        area: 'transform gpg',
        status: 'failed',
        message: expect.stringContaining('expired on 2020-12-31'),
      }),
    );
    const run = await pgsilo(['backup', expired, '--json'], at);
    expect(run.exit).toBe(3);
    expect(run.all).toContain('transform.key-missing');
    expect(backupsIn(join(server.folder, 'store', 'expired'))).toEqual([]);
  });

  it('whose private key is not here is refused as that, and is not called damaged', async () => {
    const other = await makeGpgHome();
    try {
      await other.makeKey('stranger');
      const key = await other.exportPrivate('stranger');
      const text = readFileSync(join(server.folder, byFile), 'utf8');
      const strange = text.replace(/decryptKeys: .*/, `decryptKeys: [${key}]`);
      writeFileSync(join(server.folder, 'strange.yaml'), strange);
      for (const [file, env] of [
        ['strange.yaml', at.env],
        [byGpg, { ...at.env, GNUPGHOME: other.path }],
      ] as const) {
        const refused = await pgsilo(['restore', file, 'acme', '--to', 'copy'], { ...at, env: { ...env } });
        expect(refused.exit, `${refused.stderr}`).toBe(1);
        expect(refused.stderr).toContain('transform.key-missing');
        expect(refused.stderr).not.toContain('damaged');
        const found = await pgsilo(['doctor', file, '--json'], { ...at, env: { ...env } });
        expect(found.json()['checks']).toContainEqual(
          expect.objectContaining({ area: 'transform gpg', name: 'decryption', status: 'failed' }),
        );
      }
      expect(restoresRun()).toBe('');
    } finally {
      await other.dispose();
    }
  });
});
