import { createReadStream } from 'node:fs';
import { createSetup } from '@pgsilo/postgres';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type {
  ArtifactView,
  BackupView,
  RestoreOutcome,
  RestoreRequest,
  Unit,
  UnitFacts,
} from '@pgsilo/plugin';
import { testContext, type TestContext } from '@pgsilo/testkit';
import { options, type Options } from '../src/options.ts';
import { prepareRestore } from '../src/restore.ts';
import type { SourceSetup } from '../src/setup.ts';
import { createSource } from '../src/source.ts';

/** A backup in a folder, as the engine would show it to the source. */
export interface TestBackup extends BackupView {
  readonly folder: string;
  path(artifact: string): string;
  /** The same backup with one artifact replaced. */
  with(artifact: string, content: Uint8Array | string): Promise<TestBackup>;
  remove(): Promise<void>;
}

export function setupFor(url: string, more: Record<string, unknown> = {}): SourceSetup {
  const context = testContext();
  const parsed: Options = options.parse({ connection: url, match: '*', ...more });
  return createSetup(parsed, { pipeline: 'test', folder: tmpdir(), log: context.log });
}

/** Backs up a unit by the source itself. */
export async function backUp(
  url: string,
  unit: Unit,
  id = '20261121T020000Z-7f3a9c',
  more: Record<string, unknown> = {},
): Promise<TestBackup> {
  const context = testContext();
  const source = createSource(options.parse({ connection: url, match: '*', ...more }), {
    pipeline: 'test',
    folder: tmpdir(),
    log: context.log,
  });
  const folder = await mkdtemp(join(tmpdir(), 'pgsilo-backup-'));
  const artifacts: { name: string; format: ArtifactView['format'] }[] = [];
  let facts: UnitFacts | undefined;
  try {
    for await (const item of source.read({ id: 'job', units: [unit] }, { ...context, label: 'test' })) {
      if (item.type === 'facts') facts = item.facts;
      else {
        await writeFile(join(folder, item.name), item.body);
        artifacts.push({ name: item.name, format: item.format });
      }
    }
  } catch (error) {
    await rm(folder, { recursive: true });
    throw error;
  } finally {
    await source.close();
  }
  if (!facts) throw new Error('the source gave no facts');
  return viewOf(folder, unit, id, facts, artifacts);
}

/** A backup of a database that {@link backUp} left in a folder, seen from another process. */
export function backupIn(folder: string, name: string, id = '20261121T020000Z-7f3a9c'): Promise<TestBackup> {
  const facts: UnitFacts = {
    status: 'good',
    snapshotAt: '2026-11-21T02:00:00Z',
    server: { version: '0' },
    tool: 'pg_dump',
  };
  return viewOf(folder, database(name), id, facts, [
    { name: 'database.dump', format: 'pg-custom' },
    { name: 'settings.json', format: 'json' },
    { name: 'fingerprint.json', format: 'json' },
  ]);
}

export function database(name: string): Unit {
  return { name, labels: {}, origin: { database: name } };
}

async function viewOf(
  folder: string,
  unit: Unit,
  id: string,
  facts: UnitFacts,
  artifacts: readonly { readonly name: string; readonly format: ArtifactView['format'] }[],
): Promise<TestBackup> {
  const path = (name: string): string => join(folder, name);
  const views = await Promise.all(
    artifacts.map(async ({ name, format }): Promise<ArtifactView> => ({
      name, format, bytes: (await stat(path(name))).size, open: () => createReadStream(path(name)), spool: () => Promise.resolve(path(name)),
    })),
  ); // prettier-ignore
  return {
    unit, id, facts, folder, artifacts: views, path,
    with: async (artifact, content) => {
      const other = await mkdtemp(join(tmpdir(), 'pgsilo-backup-'));
      for (const { name } of artifacts) await writeFile(join(other, name), createReadStream(path(name)));
      await writeFile(join(other, artifact), content);
      return viewOf(other, unit, id, facts, artifacts);
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  }; // prettier-ignore
}

export function request(
  backup: BackupView,
  more: Partial<RestoreRequest> = {},
): RestoreRequest & { readonly steps: string[] } {
  const steps: string[] = [];
  return {
    backup, replace: false, dropOld: false, jobs: 2, owner: true, ...more, steps,
    step: async (name, work) => {
      steps.push(name);
      return work();
    },
    swap: (_live, work) => work(),
  }; // prettier-ignore
}

/** Prepares, runs and closes a restore. */
export async function restore(
  setup: SourceSetup,
  wanted: RestoreRequest,
  context: TestContext = testContext(),
): Promise<RestoreOutcome> {
  try {
    const restoration = await prepareRestore(setup, wanted, context);
    try {
      return await restoration.run();
    } finally {
      await restoration.close();
    }
  } finally {
    await context.dispose();
  }
}
