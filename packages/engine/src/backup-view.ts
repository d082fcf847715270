import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline as connect } from 'node:stream/promises';
import { isPgsiloError, PgsiloError } from '@pgsilo/plugin';
import type { ArtifactView, BackupView, Body, Transform, UnitFacts } from '@pgsilo/plugin';
import { backupPrefix } from './keys.ts';
import type { Manifest, ManifestArtifact } from './manifest.ts';
import { Meter } from './meter.ts';
import { getObject } from './objects.ts';
import type { Pipeline, PipelineSink } from './pipeline.ts';
import type { EngineSession } from './session.ts';

/** A backup in one sink, with the knowledge of what was read of it to the end. */
export interface OpenBackup {
  readonly view: BackupView;
  /** Names of the artifacts that were read whole and proved, at least once. */
  readonly proved: ReadonlySet<string>;
}

/**
 * Shows a backup to a source. Bytes are fetched when they are asked for.
 * @param others names of the other sinks that list it, for the hint when this copy is damaged.
 */
export function openBackup(
  session: EngineSession,
  sink: PipelineSink,
  manifest: Manifest,
  others: readonly string[] = [],
): OpenBackup {
  const proved = new Set<string>();
  const artifacts = manifest.artifacts.map((artifact) =>
    viewArtifact({ session, sink, manifest, others, proved }, artifact),
  );
  const facts: UnitFacts = {
    status: manifest.status,
    snapshotAt: manifest.snapshotAt,
    server: {
      version: manifest.server.version,
      ...(manifest.server.systemIdentifier === undefined
        ? {}
        : { systemIdentifier: manifest.server.systemIdentifier }),
    },
    tool: manifest.tool,
    ...(manifest.lsn === undefined ? {} : { lsn: manifest.lsn }),
    requires: manifest.requires,
    ...(manifest.parts === undefined ? {} : { parts: manifest.parts }),
    about: manifest.about,
  };
  return { view: { unit: manifest.unit, id: manifest.backup, facts, artifacts }, proved };
}

interface Copy {
  readonly session: EngineSession;
  readonly sink: PipelineSink;
  readonly manifest: Manifest;
  readonly others: readonly string[];
  readonly proved: Set<string>;
}

function viewArtifact(copy: Copy, artifact: ManifestArtifact): ArtifactView {
  const { session } = copy;
  const open = (): Body => namingCopy(copy, artifact);
  let spooled: Promise<string> | undefined;
  const spool = async (): Promise<string> => {
    // A random name: the artifact's own would meet its namesake of another backup.
    const path = join(
      await session.scratch.folder(artifact.bytes),
      `${randomBytes(6).toString('hex')}-${artifact.name}`,
    );
    await connect(open(), createWriteStream(path, { mode: 0o600, flags: 'wx' }), { signal: session.signal });
    return path;
  };
  return {
    name: artifact.name,
    format: artifact.format,
    bytes: artifact.bytes,
    open,
    spool: () => (spooled ??= spool()),
  };
}

/** Codes that say that this copy of the backup is damaged. */
const damage: ReadonlySet<string> = new Set(['sink.not-found', 'sink.corrupt', 'transform.corrupt']);

/** The original bytes; when the copy is damaged the error says which one it is, and where another lies. */
async function* namingCopy(
  copy: Copy,
  artifact: ManifestArtifact,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { session, sink, manifest, others, proved } = copy;
  try {
    yield* decodeArtifact(session, sink, manifest, artifact, proved);
  } catch (error) {
    if (!isPgsiloError(error) || !damage.has(error.code)) throw error;
    const what = `${artifact.name} of ${JSON.stringify(manifest.unit.name)} ${manifest.backup} is damaged in sink ${sink.name}`;
    throw new PgsiloError(error.code, `${what}: ${error.message}`, {
      cause: error,
      hint:
        others.length === 0
          ? 'Choose another backup with --backup; `pgsilo list` shows them.'
          : `Another sink has this backup too: --from ${others[0]} --backup ${manifest.backup}`,
    });
  }
}

/** The stored bytes, proved by size and SHA-256 as they pass. */
export async function* readStored(
  session: EngineSession,
  sink: PipelineSink,
  manifest: Manifest,
  artifact: ManifestArtifact,
): AsyncGenerator<Uint8Array, void, undefined> {
  const key = backupPrefix(manifest.pipeline, manifest.unit.name, manifest.backup) + artifact.key;
  const meter = new Meter();
  yield* meter.watch(getObject(session, sink, key, artifact.storedBytes));
  if (meter.digest() !== artifact.storedSha256) {
    throw new PgsiloError(
      'sink.corrupt',
      `${key} in sink ${sink.name} was altered: its SHA-256 is not the one that was stored`,
      {
        hint: 'Use the copy in another sink (--from), or another backup.',
      },
    );
  }
}

async function* decodeArtifact(
  session: EngineSession,
  sink: PipelineSink,
  manifest: Manifest,
  artifact: ManifestArtifact,
  proved: Set<string>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let body: Body = readStored(session, sink, manifest, artifact);
  const share = 1 / (artifact.transforms.length + 1);
  for (const { use, parameters } of [...artifact.transforms].reverse()) {
    const transform = await transformNamed(session.pipeline, use, artifact.name);
    body = transform.decode(body, parameters, session.context(share));
  }
  const meter = new Meter();
  yield* meter.watch(body);
  const name = `${artifact.name} of ${JSON.stringify(manifest.unit.name)} ${manifest.backup}`;
  if (meter.bytes !== artifact.bytes || meter.digest() !== artifact.sha256) {
    throw new PgsiloError('transform.corrupt', `${name} decoded to something else than what was backed up`);
  }
  proved.add(artifact.name);
}

/** The transform that wrote an artifact; pipelines change, and old backups must stay readable. */
export async function transformNamed(pipeline: Pipeline, use: string, artifact: string): Promise<Transform> {
  const found = pipeline.transforms.find((transform) => transform.use === use);
  if (found) return found.transform;
  try {
    return await pipeline.openTransform(use);
  } catch (error) {
    throw new PgsiloError(
      'plugin.unknown',
      `${artifact} was written through the transform ${use}, which the pipeline file does not name`,
      {
        cause: error,
        hint: `Add \`use: ${use}\` to the transforms of the file that restores.`,
      },
    );
  }
}
