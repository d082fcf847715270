import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeGpgHome } from '../plugins/transform-gpg/test/gpg-home.ts';
import type { GpgHome } from '../plugins/transform-gpg/test/gpg-home.ts';
import { createFleet, tenants, writePipeline } from './services/fleet.ts';
import { pgsilo, pgsiloOk, type CallOptions } from './services/pgsilo.ts';
import { startServer, type TestServer } from './services/server.ts';
import { filesIn } from './services/stored.ts';

// Each stands on those before it: a tenant's life from its first backup to the receipt of its erasure.
describe('a key for each tenant', { timeout: 180_000 }, () => {
  let server: TestServer;
  let operators: GpgHome;
  let at: CallOptions;
  let perUnit: string;
  let plain: string;
  let sharing: string;
  const first: Record<string, string> = {};

  beforeAll(async () => {
    server = await startServer();
    await createFleet(server, tenants.slice(0, 2));
    operators = await makeGpgHome();
    for (const name of ['ops', 'signer']) await operators.makeKey(name);
    at = { cwd: server.folder, env: { VIGIA_URL: server.url } };
    const gpg = [
      'use: gpg, perUnit: true, keyring: { path: keys/, copies: [vault/] }',
      `wrapFor: [${await operators.exportPublic('ops')}], decryptKeys: [${await operators.exportPrivate('ops')}]`,
      `signWith: ${await operators.exportPrivate('signer')}`,
    ].join(', ');
    mkdirSync(join(server.folder, 'vault'));
    const sinks = '  - { use: local, path: store }\n  - { use: local, name: tape, path: tape }';
    sharing = writePipeline(server, { name: 'sharing', transform: `zstd\n  - { ${gpg} }` });
    perUnit = writePipeline(server, { name: 'sealed', sinks, transform: `zstd\n  - { ${gpg} }` });
    plain = writePipeline(server, {
      name: 'plain',
      more: 'retention: { daily: 30 }\n',
    });
  });
  afterAll(async () => {
    await operators?.dispose();
    await server?.stop();
  });

  const rows = async (database: string): Promise<unknown> =>
    (await server.query(database, 'SELECT count(*)::int AS n FROM app.customers'))[0]!['n'];

  it('each unit has its own, in the keyring and its copy', async () => {
    await pgsiloOk(['backup', perUnit], at);
    const { keys } = (await pgsiloOk(['keys', 'list', perUnit, '--json'], at)).json();
    expect(keys).toHaveLength(4);
    expect(new Set(keys.map(({ fingerprint }: { fingerprint: string }) => fingerprint)).size).toBe(4);
    for (const { unit, fingerprint, state } of keys) {
      first[unit] = fingerprint;
      expect(state).toBe('current');
    }
    expect(filesIn(join(server.folder, 'vault'))).toEqual(filesIn(join(server.folder, 'keys')));
    await pgsiloOk(['restore', perUnit, 'acme', '--to', 'acme_1'], at);
    expect(await rows('acme_1')).toBe(await rows('acme_db'));
  });

  it('rotating gives later backups another one, and leaves the earlier ones readable', async () => {
    const { keys } = (await pgsiloOk(['keys', 'rotate', perUnit, 'acme', '--json'], at)).json();
    expect(keys).toMatchObject([{ unit: 'acme', generation: 2, state: 'current' }]);
    await pgsiloOk(['backup', perUnit, '--only', 'acme'], at);
    const { backups } = (await pgsiloOk(['list', perUnit, 'acme', '--json'], at)).json();
    expect(backups).toHaveLength(2);
    const used: string[] = [];
    for (const [index, { backup }] of backups.entries()) {
      await pgsiloOk(['restore', perUnit, 'acme', '--backup', backup, '--to', `acme_2${index}`], at);
      const { manifest } = (await pgsiloOk(['show', perUnit, 'acme', backup, '--json'], at)).json();
      used.push(manifest.artifacts[0].transforms[1].parameters.recipients[0]);
    }
    expect(used).toEqual([keys[0].fingerprint, first['acme']]);
    const unknown = await pgsilo(['keys', 'rotate', perUnit, 'nobody'], at);
    expect(unknown.exit).toBe(2);
    expect(unknown.stderr).toContain('Its first backup makes one');
  });

  it('exporting makes another copy of the keyring', async () => {
    await pgsiloOk(['keys', 'export', perUnit, 'another'], at);
    expect(filesIn(join(server.folder, 'another'))).toEqual(filesIn(join(server.folder, 'keys')));
  });

  it('destroying is refused where nobody can be asked, and a dry run says what it would do', async () => {
    await pgsiloOk(['backup', plain], at);
    const refused = await pgsilo(['keys', 'destroy', perUnit, 'acme'], at);
    expect(refused.exit).toBe(2);
    expect(refused.stderr).toContain('Add --yes to go on without being asked.');
    const dry = ['keys', 'destroy', perUnit, 'acme', '--also', plain, '--dry-run'];
    const { backups, remaining } = (await pgsiloOk([...dry, '--json'], at)).json();
    expect(backups).toHaveLength(2);
    expect(backups[0].sinks).toEqual(['local', 'tape']);
    expect(remaining).toMatchObject([{ pipeline: 'plain', sink: 'local', unit: 'acme', backups: 1 }]);
    const [{ newest, until }] = remaining;
    expect(Date.parse(until) - Date.parse(newest)).toBe(30 * 86_400_000);
    const nowhere = await pgsilo(['keys', 'destroy', perUnit, 'acme', '--yes', '--receipt', 'not-there'], at);
    expect(nowhere.exit).toBe(2);
    await pgsiloOk(['restore', perUnit, 'acme', '--to', 'acme_3'], at);
  });

  it('destroying leaves nothing that opens the tenant, says so from then on, and signs a receipt', async () => {
    // The tape that nobody can reach any more.
    cpSync(join(server.folder, 'tape'), join(server.folder, 'elsewhere'), { recursive: true });
    mkdirSync(join(server.folder, 'receipts'));
    const destroy = ['keys', 'destroy', perUnit, 'acme', '--yes', '--by', 'jane', '--also', plain];
    const done = (await pgsiloOk([...destroy, '--receipt', 'receipts', '--json'], at)).json();
    expect(done.keys).toHaveLength(2);
    expect(done.folders.map((each: string) => each.split('/').at(-1) || each)).toHaveLength(2);
    for (const folder of ['keys', 'vault'])
      expect(filesIn(join(server.folder, folder)).filter((file) => /acme\/.*private/.test(file))).toEqual([]);

    await operators.must(['--verify', done.receipt.signature, done.receipt.text]);
    const receipt = readFileSync(done.receipt.text, 'utf8');
    for (const { fingerprint } of done.keys) expect(receipt).toContain(fingerprint);
    for (const { backup } of done.backups) expect(receipt).toContain(backup);
    expect(receipt).toMatch(/by "jane"/);
    expect(receipt).toMatch(/1 backup of acme by pipeline plain in sink local" {2}until 20\d\d-/);

    const gone = await pgsilo(['restore', perUnit, 'acme', '--to', 'acme_4'], at);
    expect(gone.exit).not.toBe(0);
    expect(gone.stderr).toMatch(/was destroyed on 20\d\d-\S+ by "?jane/);
    const [copy] = filesIn(join(server.folder, 'elsewhere')).filter((file) =>
      /\/acme\/.*dump\.zst\.gpg$/.test(file),
    );
    const byHand = await operators.run(['--decrypt', join(server.folder, 'elsewhere', copy!)]);
    expect(byHand.status).not.toBe(0);
    expect(byHand.stderr).toMatch(/no secret key/i);
    await pgsiloOk(['restore', perUnit, 'globex', '--to', 'globex_1'], at);

    const { backups } = (await pgsiloOk(['list', perUnit, 'acme', '--json'], at)).json();
    for (const { keysDestroyed } of backups) expect(keysDestroyed).toMatchObject({ by: 'jane' });
    expect((await pgsiloOk(['list', perUnit, 'acme'], at)).stdout).toContain('keys destroyed');
    expect((await pgsilo(['restore', plain, 'acme', '--to', 'acme_5'], at)).exit).toBe(0);
  });

  it('destroying again writes the receipt again, with the first date and name', async () => {
    const destroy = ['keys', 'destroy', perUnit, 'acme', '--yes', '--by', 'john', '--receipt', 'receipts'];
    const done = (await pgsiloOk([...destroy, '--json'], at)).json();
    for (const { destroyedBy } of done.keys) expect(destroyedBy).toBe('jane');
    expect(readdirSync(join(server.folder, 'receipts'))).toHaveLength(4);
    const copy = (await pgsiloOk(['keys', 'export', perUnit, 'another', '--json'], at)).json();
    expect(copy).toMatchObject({ destroyed: 2 });
    expect(filesIn(join(server.folder, 'another')).filter((file) => /acme\/.*private/.test(file))).toEqual(
      [],
    );
  });

  it('a tenant of that name has no backup until it is given a new key', async () => {
    const refused = await pgsilo(['backup', perUnit, '--json'], at);
    expect(refused.exit).toBe(1);
    const { units } = refused.json().runs[0].report;
    const failed = units.filter(({ status }: { status: string }) => status !== 'good');
    expect(failed).toMatchObject([{ unit: 'acme', error: { code: 'transform.key-missing' } }]);
    await pgsiloOk(['keys', 'rotate', perUnit, 'acme'], at);
    await pgsiloOk(['backup', perUnit, '--only', 'acme'], at);
    await pgsiloOk(['restore', perUnit, 'acme', '--to', 'acme_6'], at);
    expect(await rows('acme_6')).toBe(await rows('acme_db'));
  });

  it('a destruction counts what another pipeline encrypted with the same keys, and marks it', async () => {
    for (const file of [sharing, plain]) await pgsiloOk(['backup', file, '--only', 'globex'], at);
    const destroy = ['keys', 'destroy', perUnit, 'globex', '--yes', '--also', sharing, '--also', plain];
    const done = (await pgsiloOk([...destroy, '--receipt', 'receipts', '--json'], at)).json();
    expect(done.pipelines).toEqual(['sealed', 'sharing', 'plain']);
    const [{ backup }] = (await pgsiloOk(['list', sharing, 'globex', '--json'], at)).json().backups;
    expect(done.backups).toContainEqual({ pipeline: 'sharing', backup, sinks: ['local'] });
    expect(done.remaining.map(({ pipeline }: { pipeline: string }) => pipeline)).toEqual(['plain']);
    const receipt = readFileSync(done.receipt.text, 'utf8');
    expect(receipt).toContain(`"${backup}"  by "sharing"  in "local"`);
    expect(receipt).toContain('looked at: "sealed", "sharing", "plain"; nothing is known here of others.');
    const { backups } = (await pgsiloOk(['list', sharing, 'globex', '--json'], at)).json();
    expect(backups).toMatchObject([{ keysDestroyed: {} }]);
    expect((await pgsilo(['restore', sharing, 'globex', '--to', 'globex_2'], at)).exit).not.toBe(0);
  });

  it('nothing is destroyed while a sink cannot be looked at, and no option is named that is not there', async () => {
    renameSync(join(server.folder, 'tape'), join(server.folder, 'away'));
    writeFileSync(join(server.folder, 'tape'), 'no folder');
    const refused = await pgsilo(['keys', 'destroy', perUnit, 'acme', '--yes'], at);
    rmSync(join(server.folder, 'tape'));
    renameSync(join(server.folder, 'away'), join(server.folder, 'tape'));
    expect(refused.exit).not.toBe(0);
    expect(refused.stderr).toContain('sink tape cannot be looked at');
    expect(refused.stderr).toContain('Nothing was destroyed.');
    expect(refused.stderr).not.toContain('--sink');
  });

  it('a list shows the units whose keys can be read, and why the others cannot', async () => {
    const none = await pgsiloOk(['keys', 'list', perUnit, 'nobody'], at);
    expect(none.stdout).toBe('The unit nobody has no keys.');
    const record = join(server.folder, 'keys/globex/000001/key.json');
    const written = readFileSync(record);
    rmSync(record);
    mkdirSync(record);
    const [shown, document] = [
      await pgsilo(['keys', 'list', perUnit], at),
      await pgsilo(['keys', 'list', perUnit, '--json'], at),
    ];
    rmSync(record, { recursive: true });
    writeFileSync(record, written);
    expect([shown.exit, document.exit]).toEqual([1, 1]);
    expect(shown.stdout).toContain(first['acme']);
    expect(shown.stdout.replaceAll(/\s+/g, ' ')).toContain('the keyring cannot be read');
    expect(document.json().unreadable).toMatchObject([
      { unit: 'globex', error: { code: 'transform.key-missing', message: expect.stringContaining(record) } },
    ]);
  });

  it('a pipeline without a keyring has no keys to speak of', async () => {
    const refused = await pgsilo(['keys', 'list', plain], at);
    expect(refused.exit).toBe(2);
    expect(refused.stderr).toContain('has no keyring');
  });
});
