import { execa } from 'execa';
import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createFleet, oddTenant, tenants, writePipeline } from './services/fleet.ts';
import {
  cleanEnvironment,
  pgsilo,
  pgsiloOk,
  startPgsilo,
  type CallOptions,
  type Running,
} from './services/pgsilo.ts';
import { processesWith } from './services/processes.ts';
import { scratchFolder, type ScratchFolder } from './services/scratch-folder.ts';
import { sealedDocument } from './services/sealed-document.ts';
import { schemaSql } from './services/schema-sql.ts';
import { startServer, until, type TestServer } from './services/server.ts';
import { backupsIn, type StoredBackup } from './services/store-folder.ts';

const fleet = [...tenants.filter(({ unit }) => unit === 'globex'), oddTenant];

let server: TestServer;
let scratch: ScratchFolder;
let at: CallOptions;

beforeAll(async () => {
  server = await startServer();
  scratch = scratchFolder();
  at = { cwd: server.folder, env: { VIGIA_URL: server.url, SCRATCH: scratch.path } };
  await createFleet(server, fleet);
});
afterEach(() => scratch.mustBeEmpty());
afterAll(async () => {
  scratch?.remove();
  await server?.stop();
});

const inScratch = 'scratch: ${env:SCRATCH}\n';

interface Checked {
  readonly unit: string;
  readonly status: string;
  readonly summary?: string;
  readonly restoreSeconds?: number;
  readonly error?: { readonly code: string; readonly message: string };
  readonly checks?: readonly { readonly name: string; readonly status: string }[];
}

async function verified(
  file: string,
  ...more: string[]
): Promise<{ exit: number | undefined; of: (unit: string) => Checked }> {
  const result = await pgsilo(['verify', file, '--level', 'restore', '--json', ...more], at);
  const { checked } = result.json<{ checked: Checked[] }>();
  return { exit: result.exit, of: (unit) => checked.find((one) => one.unit === unit)! };
}

/** Replaces an artifact that went through no transform, so that every hash fits again: what whoever can write to a sink can do. */
function forge({ folder }: StoredBackup, artifact: string, change: (text: string) => string): void {
  const file = join(folder, artifact);
  const bytes = Buffer.from(change(readFileSync(file, 'utf8')));
  writeFileSync(file, bytes);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const size = { bytes: bytes.length, sha256, storedBytes: bytes.length, storedSha256: sha256 };
  forgeManifest(folder, (manifest) => ({
    ...manifest,
    artifacts: manifest.artifacts.map((one: { name: string }) =>
      one.name === artifact ? { ...one, ...size } : one,
    ),
  }));
}

// oxlint-disable-next-line typescript/no-explicit-any
function forgeManifest(folder: string, change: (manifest: any) => object): void {
  const file = join(folder, 'manifest.json');
  writeFileSync(file, sealedDocument(change(JSON.parse(readFileSync(file, 'utf8')))));
}

/** Waits until a copy is asked a check that goes on and on. */
async function untilAsked(running: Running): Promise<void> {
  await until(
    `it asks a check\n${running.said()}`,
    async () => (await processesWith('pgsilo_proof_')).length > 0,
    90,
  );
}

// Each stands on those before it.
describe('verify --level restore', { timeout: 240_000 }, () => {
  const checks = `checks:
  - { name: there are customers, sql: SELECT count(*) > 0 FROM app.customers, where: { plan: active } }
  - { sql: "SELECT count(*) FROM clientes_saas", expect: 2, units: [vigia_master] }
`;

  it('brings every unit back, asks it, keeps the time it took, and leaves nothing', async () => {
    const file = writePipeline(server, { source: '  fingerprint: content', more: inScratch + checks });
    await pgsiloOk(['backup', file], at);
    const { exit, of } = await verified(file);
    expect(exit).toBe(0);
    expect(of('globex')).toMatchObject({
      status: 'ok',
      checks: [{ name: 'there are customers', status: 'ok' }],
    });
    expect(of('globex').summary).toMatch(/^5 tables, .*, with their contents; schema: \d+ objects; 1 check$/);
    expect(of('vigia_master').checks).toMatchObject([
      { name: 'SELECT count(*) FROM clientes_saas', status: 'ok' },
    ]);
    expect(of(oddTenant.unit)).toMatchObject({ status: 'ok', checks: [{ status: 'ok' }] });
    expect(of('@globals')).toMatchObject({ status: 'ok', checks: [] });
    const { backups } = (await pgsiloOk(['list', file, '--json'], at)).json();
    expect(backups).toHaveLength(4);
    for (const { unit, verified: note } of backups) {
      expect(note, `of ${unit}`).toMatchObject({ result: 'ok', at: expect.any(String) });
      expect(note.seconds, `of ${unit}`).toBeCloseTo(of(unit).restoreSeconds!, 3);
    }
    expect((await pgsiloOk(['list', file], at)).stdout).toMatch(/restored/);
  });

  it('fails by a check that is not answered as it must be, cannot be asked or takes too long, and says which', async () => {
    const file = writePipeline(server, {
      more: `${inScratch}checks:
  - { name: enough, sql: "SELECT count(*) > 1000000 FROM app.customers", units: [globex] }
  - { name: gone, sql: SELECT true FROM app.no_such_table, units: [globex] }
  - { name: slow, sql: SELECT pg_sleep(100) IS NULL, timeout: 300ms, units: [globex] }
`,
    });
    const { exit, of } = await verified(file, 'globex');
    expect(exit).toBe(1);
    expect(of('globex').checks!.map(({ name, status }) => `${name} ${status}`)).toEqual([
      'enough failed',
      'gone failed',
      'slow failed',
    ]);
    expect(of('globex').error).toMatchObject({ code: 'restore.check-failed' });
    expect(of('globex').error!.message.split('\n')).toEqual([
      'check "enough": it gave false where true is expected',
      expect.stringMatching(/^check "gone": relation "app.no_such_table" does not exist/),
      'check "slow": it took longer than 0.3 s',
    ]);
    const { backups } = (await pgsiloOk(['list', file, 'globex', '--json'], at)).json();
    expect(backups[0].verified).toMatchObject({ result: 'failed', code: 'restore.check-failed' });
  });

  it('is interrupted by Ctrl-C, with exit 130, and leaves nothing', async () => {
    const file = writePipeline(server, {
      more: `${inScratch}checks: [{ sql: SELECT pg_sleep(1000) IS NULL, timeout: 1h, units: [globex] }]\n`,
    });
    const running = startPgsilo(['verify', file, 'globex', '--level', 'restore'], at);
    await untilAsked(running);
    running.kill('SIGINT');
    expect((await running.result).exit).toBe(130);
  });

  it('killed in the middle, together with what watches over it, leaves nothing after one later call', async () => {
    const file = writePipeline(server, {
      more: `${inScratch}checks: [{ sql: SELECT pg_sleep(1000) IS NULL, timeout: 1h, units: [globex] }]\n`,
    });
    const running = startPgsilo(['verify', file, 'globex', '--level', 'restore'], at);
    await untilAsked(running);
    const [guard] = await processesWith(`pgsilo-scratch-guard ${scratch.path}/`);
    process.kill(guard!.pid, 'SIGKILL');
    running.kill('SIGKILL');
    await running.result;
    expect((await scratch.left()).some((each) => each.includes('postgres'))).toBe(true);
    await pgsiloOk(['verify', file, 'vigia_master', '--level', 'restore'], at);
  });

  it('finds a backup whose rows are not those of its fingerprint, although every hash fits', async () => {
    const plain = writePipeline(server, { name: 'plain', more: inScratch });
    writeFileSync(
      join(server.folder, plain),
      readFileSync(join(server.folder, plain), 'utf8').replace(/transforms:\n.*\n/, ''),
    );
    await pgsiloOk(['backup', plain, '--only', 'globex'], at);
    const [backup] = backupsIn(join(server.folder, 'store/plain'));
    forge(backup!, 'fingerprint.json', (text) =>
      text.replace(/"rows": ?(\d+)/, (_, rows) => `"rows": ${Number(rows) + 1}`),
    );
    const { exit, of } = await verified(plain, 'globex');
    expect(exit).toBe(1);
    expect(of('globex').error).toMatchObject({ code: 'restore.mismatch' });
  });

  it('runs as an ordinary user', async () => {
    const home = mkdtempSync('/tmp/pgsilo-proof-home-');
    const own = scratchFolder();
    try {
      cpSync(join(server.folder, 'store'), join(home, 'store'), { recursive: true });
      const file = writePipeline(server, { more: inScratch });
      cpSync(join(server.folder, file), join(home, file));
      const identity = await ordinaryUser();
      if (identity) await execa('chown', ['-R', `${identity.uid}:${identity.gid}`, home, own.path]);
      const env = cleanEnvironment({ VIGIA_URL: server.url, SCRATCH: own.path, HOME: home });
      const { exitCode, stdout, stderr } = await execa(
        'pgsilo',
        ['verify', file, 'globex', '--level', 'restore'],
        {
          cwd: home,
          env,
          extendEnv: false,
          reject: false,
          ...identity,
        },
      );
      expect(exitCode, `said: ${stderr}`).toBe(0);
      expect(stdout).toContain('1 backup restored and proved');
      expect(await own.left()).toEqual([]);
    } finally {
      own.remove();
      rmSync(home, { recursive: true });
    }
  });
});

describe('verify --level restore of schemas and of whole servers', { timeout: 240_000 }, () => {
  const write = (name: string, source: string): string => {
    const text = `pipeline: ${name}
source:
${source}
sinks: [{ use: local, path: store/${name} }]
${inScratch}`;
    writeFileSync(join(server.folder, `${name}.yaml`), text);
    return `${name}.yaml`;
  };

  it('restores each schema, and names an extension that is missing before it begins', async () => {
    await server.query('postgres', 'CREATE ROLE app_owner; CREATE ROLE "app user"');
    await server.query('postgres', 'CREATE DATABASE app OWNER app_owner');
    for (const name of ['acme', 'a.b"c'])
      await server.query('app', schemaSql(name, 'app_owner', '"app user"', 20));
    const file = write(
      'schemas',
      `  use: schema-per-tenant\n  connection: \${env:VIGIA_URL}\n  database: app\n  schemas: [acme, 'a.b"c']`,
    );
    writeFileSync(
      join(server.folder, file),
      `${readFileSync(join(server.folder, file), 'utf8')}checks: [{ name: unqualified, sql: SELECT count(*) > 0 FROM customer }]\n`,
    );
    await pgsiloOk(['backup', file], at);
    const first = await verified(file);
    for (const name of ['acme', 'a.b"c'])
      expect(first.of(name)).toMatchObject({ status: 'ok', checks: [{ name: 'unqualified', status: 'ok' }] });
    expect(first.of('@database')).toMatchObject({
      status: 'skipped',
      summary: expect.stringContaining('whose copy lacks what needs the tenants'),
    });
    expect(first.exit).toBe(0);
    const acme = backupsIn(join(server.folder, 'store/schemas')).find(({ unit }) => unit === 'acme')!;
    const missing = { name: 'no "such" one', schema: 'public', objects: 1, example: 'x' };
    forgeManifest(acme.folder, (manifest) => ({
      ...manifest,
      about: { ...manifest.about, needsExtensions: [missing] },
    }));
    const second = await verified(file, 'acme');
    expect(second.exit).toBe(1);
    expect(second.of('acme').error).toMatchObject({
      code: 'restore.refused',
      message: expect.stringContaining(
        'the server lacks extensions that the backup needs: "no \\"such\\" one"',
      ),
    });
    // That it could not be tried says nothing about the backup.
    const { backups } = (await pgsiloOk(['list', file, 'acme', '--json'], at)).json();
    expect(backups[0].verified).toMatchObject({ result: 'ok' });
  });

  it('restores a whole server into one of its own', async () => {
    const file = write('whole', '  use: dumpall\n  connection: ${env:VIGIA_URL}');
    writeFileSync(
      join(server.folder, file),
      `${readFileSync(join(server.folder, file), 'utf8')}checks: [{ name: registry, sql: SELECT count(*) FROM clientes_saas, expect: 2, database: vigia_master }]\n`,
    );
    // pg_dumpall cannot dump a database of some names; they are another test's.
    const plain = fleet.filter(({ unit }) => unit !== 'globex');
    for (const { database } of plain)
      await server.query('postgres', `ALTER DATABASE ${quoted(database)} RENAME TO odd`);
    await pgsiloOk(['backup', file], at);
    const { exit, of } = await verified(file);
    expect(of('@cluster')).toMatchObject({ status: 'ok', checks: [{ name: 'registry', status: 'ok' }] });
    expect(exit).toBe(0);
  });
});

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Undefined: we are one. */
async function ordinaryUser(): Promise<{ uid: number; gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const id = async (flag: string): Promise<number> => Number((await execa('id', [flag, 'nobody'])).stdout);
  return { uid: await id('-u'), gid: await id('-g') };
}
