import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { createFleet, tenants, writePipeline } from './services/fleet.ts';
import { pgsilo, pgsiloOk, type CallOptions, type Ended } from './services/pgsilo.ts';
import { sealedDocument } from './services/sealed-document.ts';
import { startServer, type TestServer } from './services/server.ts';
import { backupsIn, type StoredBackup } from './services/store-folder.ts';
import { filesIn } from './services/stored.ts';

let server: TestServer;
let at: CallOptions;
let file: string;
let store: string;
let count = 0;
/** Of acme, oldest first. */
let backups: StoredBackup[];

// Each is many calls of the command.
vi.setConfig({ testTimeout: 180_000 });

/** Each test has a store of its own with two backups of everything. */
beforeEach(async () => {
  if (!server) {
    server = await startServer();
    await createFleet(server, tenants.slice(0, 2));
    at = { cwd: server.folder, env: { VIGIA_URL: server.url } };
  }
  count += 1;
  file = writePipeline(server, { name: `vigia${count}` });
  store = join(server.folder, 'store', `vigia${count}`);
  for (let n = 0; n < 2; n += 1) await pgsiloOk(['backup', file], at);
  backups = backupsIn(store)
    .filter(({ unit }) => unit === 'acme')
    .sort((a, b) => (a.backup < b.backup ? -1 : 1));
}, 180_000);
afterAll(async () => server?.stop());

const run = (...parameters: string[]): Promise<Ended> => pgsilo(parameters, at);
const inOneLine = ({ all }: Ended): string => all.replaceAll(/\s+/g, ' ');
const verify = async (): Promise<{ exit: number | undefined; report: any }> => {
  const result = await run('verify', file, '--all', '--json');
  return { exit: result.exit, report: result.json<any>() };
};
const pathOf = (form: RegExp): string =>
  join(
    store,
    filesIn(store)
      .filter((path) => form.test(path))
      .at(-1)!,
  );
const restoreInto = async (name: string, ...more: string[]): Promise<Ended> => {
  const result = await run('restore', file, 'acme', '--to', name, ...more);
  if (result.exit === 0) await server.query('postgres', `DROP DATABASE ${name}`);
  return result;
};

function flip(path: string): void {
  const bytes = readFileSync(path);
  bytes[Math.floor(bytes.length / 2)]! ^= 1;
  writeFileSync(path, bytes);
}

/** Changes fields of a document and gives it the checksum that docs/format.md asks for. */
function rewrite(path: string, change: object): void {
  writeFileSync(path, sealedDocument({ ...JSON.parse(readFileSync(path, 'utf8')), ...change }));
}

describe('the record of a run that was damaged', () => {
  it('is named by verify, which still reads every backup, and hides none from list and restore', async () => {
    const record = pathOf(/\/runs\/[^.]+\.json$/);
    flip(record);
    const { exit, report } = await verify();
    expect(exit).toBe(1);
    expect(report.records).toMatchObject([
      { sink: 'local', key: record.slice(store.length + 1), error: { code: 'catalog.corrupt' } },
    ]);
    expect(report.checked).toHaveLength(8);
    expect(report.checked.every(({ status }: any) => status === 'ok')).toBe(true);
    const text = inOneLine(await run('verify', file));
    expect(text).toContain('1 record not');
    expect((await pgsiloOk(['list', file, '--json'], at)).json<any>()['backups']).toHaveLength(8);
    const restored = await restoreInto('copy');
    expect(restored.exit).toBe(0);
    expect(inOneLine(restored)).toContain('whether there was a newer backup is not known');
    // A later run has a record of its own, and what is relied on is whole again.
    await pgsiloOk(['backup', file], at);
    expect((await verify()).exit).toBe(0);
  });

  it('does not make verify content with what an older run had stored', async () => {
    flip(pathOf(/\/runs\/[^.]+\.json$/));
    rmSync(join(backups[1]!.folder, 'manifest.json'));
    expect((await verify()).exit).toBe(1);
  });

  it('of a run that seems killed keeps all that might be its own from being swept, and other runs are swept', async () => {
    const [first, second] = backups.map(({ backup }) => backup) as [string, string];
    for (const id of [first, second]) {
      rmSync(pathOf(new RegExp(`/runs/${id}\\.json$`)));
      rmSync(pathOf(new RegExp(`/units/acme/${id}/manifest\\.json$`)));
    }
    flip(pathOf(new RegExp(`/runs/${second}\\.begin\\.json$`)));
    const next = await run('backup', file);
    expect(next.exit).toBe(0);
    expect(inOneLine(next)).toContain(`${second}.begin.json`);
    expect(filesIn(store).filter((path) => path.includes(`/units/acme/${first}/`))).toEqual([]);
    expect(filesIn(store).filter((path) => path.includes(`/units/acme/${second}/`))).toHaveLength(3);
    expect(filesIn(store).filter((path) => path.includes(`/units/globex/${first}/`))).toHaveLength(4);
  });
});

describe('a note that was damaged', () => {
  it('holds its backup, keeps nobody from listing and restoring, and is named by verify', async () => {
    const { backup } = backups[0]!;
    await pgsiloOk(['pin', file, 'acme', backup, '--reason', 'audit'], at);
    await pgsiloOk(['unpin', file, 'acme', backup], at);
    const note = pathOf(/\/notes\/acme\/.*-unpinned\.json$/);
    flip(note);
    const listed = (await pgsiloOk(['list', file, 'acme', '--json'], at)).json<any>()['backups'];
    expect(listed).toHaveLength(2);
    expect(listed.find((entry: any) => entry.backup === backup).pin.reason).toContain('cannot be read');
    expect(inOneLine(await run('show', file, 'acme', backup))).toContain(
      'held because its newest note cannot be read',
    );
    expect((await restoreInto('copy', '--backup', backup)).exit).toBe(0);
    const { exit, report } = await verify();
    expect(exit).toBe(1);
    expect(report.records).toMatchObject([{ sink: 'local', key: note.slice(store.length + 1) }]);
    // What is said anew counts again.
    await pgsiloOk(['unpin', file, 'acme', backup], at);
    expect((await verify()).exit).toBe(0);
    expect(
      (await run('list', file, 'acme', '--json')).json<any>()['backups'].every((entry: any) => !entry.pin),
    ).toBe(true);
  });

  it('does not count for another backup into whose place it was copied', async () => {
    const [first, second] = backups as [StoredBackup, StoredBackup];
    await pgsiloOk(['pin', file, 'acme', first.backup, '--reason', 'audit'], at);
    await pgsiloOk(['pin', file, 'acme', second.backup, '--reason', 'another'], at);
    const of = (backup: string): string => pathOf(new RegExp(`/notes/acme/${backup}/`));
    writeFileSync(of(second.backup), readFileSync(of(first.backup)));
    const { report } = await verify();
    expect(report.records[0].error.message).toContain('another note');
  });
});

describe('a backup of a later format', () => {
  const later = { format: 2, pgsilo: '9.1.0' };
  const saysSo = 'was made by a later pgsilo (9.1.0)';

  it('is named as such by list, show, verify and restore; the others stay usable', async () => {
    const [old, newest] = backups as [StoredBackup, StoredBackup];
    rewrite(join(newest.folder, 'manifest.json'), later);
    const list = await run('list', file, '--json');
    expect(list.exit).toBe(1);
    const entries = list.json<any>()['backups'];
    expect(entries.filter(({ status }: any) => status === 'good')).toHaveLength(7);
    expect(entries.find(({ error }: any) => error)).toMatchObject({
      backup: newest.backup,
      error: { code: 'catalog.format-newer', message: expect.stringContaining(saysSo) },
    });
    for (const command of [
      ['show', file, 'acme'],
      ['restore', file, 'acme', '--to', 'copy'],
      ['restore', file, 'acme', '--replace', '--yes'],
    ]) {
      const result = await run(...command);
      expect(result.exit, `${command.join(' ')}`).toBe(3);
      expect(inOneLine(result)).toContain(saysSo);
      expect(inOneLine(result)).toContain('--backup');
    }
    expect(await server.databases()).toEqual(['acme_db', 'globex_db', 'postgres', 'vigia_master']);
    const { exit, report } = await verify();
    expect(exit).toBe(1);
    expect(report.checked.filter(({ status }: any) => status === 'ok')).toHaveLength(7);
    expect(report.checked.find(({ status }: any) => status !== 'ok').error.message).toContain(saysSo);
    await pgsiloOk(['show', file, 'acme', old.backup], at);
    expect((await restoreInto('copy', '--backup', old.backup)).exit).toBe(0);
  });

  it('is no garbage, whatever lies in its folder, also when its run seems killed', async () => {
    const [old, newest] = backups as [StoredBackup, StoredBackup];
    rewrite(join(newest.folder, 'manifest.json'), later);
    writeFileSync(join(newest.folder, 'chunks.0001'), 'of a format to come');
    rmSync(pathOf(new RegExp(`/runs/${newest.backup}\\.json$`)));
    // Of this run even the marker is of the later format, and nothing of it has a manifest that is known here.
    rewrite(pathOf(new RegExp(`/runs/${old.backup}\\.begin\\.json$`)), later);
    rmSync(pathOf(new RegExp(`/runs/${old.backup}\\.json$`)));
    rmSync(join(old.folder, 'manifest.json'));
    const before = filesIn(store).filter((path) => path.includes('/units/'));
    const next = await run('backup', file);
    expect(next.exit).toBe(0);
    expect(inOneLine(next)).toContain(`${old.backup}.begin.json was made by a later pgsilo`);
    const after = filesIn(store);
    expect(before.filter((path) => !after.includes(path))).toEqual([]);
  });
});
