// What tests call, so its expectations are inside of tests.
// oxlint-disable vitest/no-standalone-expect
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { prepareRestore, type Pipeline } from '@pgsilo/engine';
import { expect } from 'vitest';
import type { Damage } from './damage.ts';
import { createFleet, tenants, writePipeline } from './fleet.ts';
import { openPipelineFile } from './opened-pipeline.ts';
import { pgsilo, pgsiloOk, type CallOptions } from './pgsilo.ts';
import { startServer, type TestServer } from './server.ts';
import { backupsIn, type StoredBackup } from './store-folder.ts';

const { signal } = new AbortController();
const damageCodes = /^(catalog\.corrupt|sink\.corrupt|sink\.not-found|transform\.corrupt)$/;

/** A small fleet with two backups of each unit in a local sink, and what must happen when some of them are damaged. */
export class Refusal implements AsyncDisposable {
  readonly server: TestServer;
  readonly at: CallOptions;
  readonly file: string;
  readonly stored: readonly StoredBackup[];
  readonly #pipeline: Pipeline & AsyncDisposable;
  readonly #databases: readonly string[];

  private constructor(
    given: Pick<Refusal, 'server' | 'at' | 'file' | 'stored'>,
    pipeline: Pipeline & AsyncDisposable,
    databases: readonly string[],
  ) {
    this.server = given.server;
    this.at = given.at;
    this.file = given.file;
    this.stored = given.stored;
    this.#pipeline = pipeline;
    this.#databases = databases;
  }

  /** @param transform a transform's name, or none */
  static async prepare(transform: string): Promise<Refusal> {
    const server = await startServer();
    try {
      await createFleet(server, tenants.slice(0, 2));
      // Several blocks, so that there are boundaries between them.
      await server.query(
        'globex_db',
        `CREATE TABLE app.ballast AS SELECT i, (SELECT string_agg(md5(i || '-' || j), '') FROM generate_series(1, 40) j) AS weight FROM generate_series(1, 4500) i`,
      );
      const at = { cwd: server.folder, env: { VIGIA_URL: server.url } };
      const file = writePipeline(server, { transform });
      if (transform === 'none') {
        const path = join(server.folder, file);
        writeFileSync(path, readFileSync(path, 'utf8').replace('transforms:\n  - use: none\n', ''));
      }
      for (let n = 0; n < 2; n += 1) await pgsiloOk(['backup', file], at);
      const stored = backupsIn(join(server.folder, 'store', 'vigia'));
      const pipeline = await openPipelineFile(join(server.folder, file), at.env);
      return new Refusal({ server, at, file, stored }, pipeline, await server.databases());
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pipeline[Symbol.asyncDispose]();
    await this.server.stop();
  }

  /** A unit's backup; 0 is its first. */
  backupOf(unit: string, nth = 0): StoredBackup {
    const all = this.stored.filter((backup) => backup.unit === unit);
    return all.sort((a, b) => (a.backup < b.backup ? -1 : 1))[nth]!;
  }

  /** `verify` refuses the damaged ones, says which object is damaged where, and finds the others whole. */
  async verifyRefuses(
    level: 'objects' | 'decode',
    damages: ReadonlyMap<StoredBackup, Damage>,
  ): Promise<void> {
    const all = [...damages.values()].map(({ title }) => title).join('; ');
    const result = await pgsilo(['verify', this.file, '--all', '--level', level, '--json'], this.at);
    expect(result.exit, `${all}`).toBe(1);
    const { checked } = result.json<{ checked: Line[] }>();
    expect(checked.length, `${all}`).toBe(this.stored.length);
    for (const backup of this.stored) {
      const change = damages.get(backup);
      const names = [backup.unit, keyOf(backup)];
      const line = checked.find((each) => each.backup === backup.backup && names.includes(each.unit));
      expect(line, `${backup.unit} ${backup.backup}, ${change?.title}`).toMatchObject({
        status: change ? 'failed' : 'ok',
        sink: 'local',
      });
      if (!change) continue;
      expect(line!.error.code, `${change.title}: ${line!.error.message}`).toMatch(damageCodes);
      expectNamed(line!.error.message, backup, change);
    }
  }

  /** A restore is refused before its first write, by the function that the command calls. */
  async restoreRefuses(backup: StoredBackup, change: Damage): Promise<void> {
    const to = backup.unit === '@globals' ? {} : { to: 'copy' };
    const options = {
      unit: backup.unit,
      backup: backup.backup,
      ...to,
      replace: false,
      dropOld: false,
      safetyBackup: false,
      jobs: 1,
      owner: true,
      signal,
    };
    const refused = await prepareRestore(this.#pipeline, options).then(
      async (prepared) => {
        await prepared.close();
        throw new Error(`${change.title}: nothing was noticed`);
      },
      (error: unknown) => error as { readonly code: string; readonly message: string },
    );
    expect(refused.code, `${change.title}: ${refused.message}`).toMatch(damageCodes);
    expectNamed(refused.message, backup, change);
    expect(refused.message).toContain('sink local');
  }

  /** The command refuses the restore, with every database of the server as it was. */
  async restoreCommandRefuses(backup: StoredBackup, change: Damage, replace = false): Promise<void> {
    const target = backup.unit === '@globals' ? [] : replace ? ['--replace', '--yes'] : ['--to', 'copy'];
    const result = await pgsilo(
      ['restore', this.file, backup.unit, '--backup', backup.backup, ...target],
      this.at,
    );
    expect([1, 3], `${change.title}: ${result.all}`).toContain(result.exit);
    expect(await this.server.databases(), `${change.title}`).toEqual(this.#databases);
    const said = result.stderr.replaceAll(/\s+/g, ' ');
    expectNamed(said, backup, change);
    expect(said).toContain('sink local');
  }
}

interface Line {
  readonly unit: string;
  readonly backup: string;
  readonly error: { readonly code: string; readonly message: string };
}

/** An error says which object of which backup it is about. */
function expectNamed(message: string, backup: StoredBackup, { objects, title }: Damage): void {
  expect(message, `${title}`).toContain(backup.backup);
  const names = objects.flatMap((object) => [object, object.replace(/\.(zst|gz)$/, '')]);
  expect(
    names.some((name) => message.includes(name)),
    `${title}: ${message}`,
  ).toBe(true);
}

/** How a unit is called where its manifest cannot be read. */
function keyOf({ unit }: StoredBackup): string {
  return unit.replace(/^@/, '_');
}
