import { createReadStream } from 'node:fs';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type {
  ArtifactView,
  BackupView,
  Job,
  RestoreOutcome,
  RestoreRequest,
  UnitFacts,
} from '@pgsilo/plugin';
import { testContext, type TestContext } from '@pgsilo/testkit';
import { prepareRestore } from '../src/restore.ts';
import type { SourceSetup } from '../src/setup.ts';
import { plan, read } from './fixture.ts';

/** A backup in a folder, as the engine would show it to the source. */
export interface TestBackup extends BackupView {
  readonly folder: string;
  path(artifact: string): string;
  /** The same backup with one artifact replaced. */
  with(artifact: string, content: Uint8Array | string): Promise<TestBackup>;
  remove(): Promise<void>;
}

/** Backs up one schema of a plan of all, in a pass over the whole database. */
export async function backUp(setup: SourceSetup, schema: string): Promise<TestBackup> {
  return (await backUpAll(setup, [schema]))[0]!;
}

export async function backUpAll(setup: SourceSetup, schemas: readonly string[]): Promise<TestBackup[]> {
  const { jobs } = await plan(setup);
  const { artifacts, facts } = await read(setup, jobs[0] as Job);
  return Promise.all(
    schemas.map(async (schema) => {
      const folder = await mkdtemp(join(tmpdir(), 'pgsilo-backup-'));
      const own = artifacts.get(schema)!;
      for (const [name, bytes] of own) await writeFile(join(folder, name), bytes);
      await writeFile(join(folder, 'facts.json'), JSON.stringify(facts.get(schema)));
      return backupIn(folder, schema, [...own.keys()], facts.get(schema)!);
    }),
  );
}

/** A backup that {@link backUp} left in a folder, seen from another process too. */
export async function backupIn(
  folder: string,
  schema: string,
  names: readonly string[],
  facts: UnitFacts,
): Promise<TestBackup> {
  const path = (name: string): string => join(folder, name);
  const artifacts = await Promise.all(
    names.map(async (name): Promise<ArtifactView> => ({
      name,
      format: name.endsWith('.json') ? 'json' : 'pg-custom',
      bytes: (await stat(path(name))).size,
      open: () => createReadStream(path(name)),
      spool: () => Promise.resolve(path(name)),
    })),
  );
  return {
    unit: { name: schema, labels: {}, origin: schema.startsWith('@') ? {} : { schema } },
    id: '20261121T020000Z-7f3a9c',
    facts,
    folder,
    artifacts,
    path,
    with: async (artifact, content) => {
      const other = await mkdtemp(join(tmpdir(), 'pgsilo-backup-'));
      for (const name of names) await writeFile(join(other, name), createReadStream(path(name)));
      await writeFile(join(other, artifact), content);
      return backupIn(other, schema, names, facts);
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

export function request(
  backup: BackupView,
  more: Partial<RestoreRequest> = {},
): RestoreRequest & { readonly steps: string[] } {
  const steps: string[] = [];
  return {
    backup,
    replace: false,
    dropOld: false,
    jobs: 1,
    owner: true,
    steps,
    step: async (name, work) => {
      steps.push(name);
      return work();
    },
    swap: (_live, work) => work(),
    ...more,
  };
}

/** The request, in which something happens at the beginning of a step. */
export function at(wanted: RestoreRequest, name: string, happens: () => Promise<unknown>): RestoreRequest {
  return {
    ...wanted,
    step: async (step, work) => {
      if (step === name) await happens();
      return wanted.step(step, work);
    },
  };
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
