import { backupPrefix } from './keys.ts';
import type { Manifest, ManifestArtifact } from './manifest.ts';
import { transformNamed } from './backup-view.ts';
import type { Pipeline } from './pipeline.ts';

/** Stock commands that restore a backup without pgsilo, run in a folder that holds the backup's objects. */
export async function byHand(pipeline: Pipeline, manifest: Manifest): Promise<readonly string[]> {
  const lines = [
    `# in a copy of ${backupPrefix(manifest.pipeline, manifest.unit.name, manifest.backup)}`,
    'sha256sum -c <<EOF',
  ];
  for (const artifact of manifest.artifacts) lines.push(`${artifact.storedSha256}  ${artifact.key}`);
  lines.push('EOF');
  for (const artifact of manifest.artifacts) lines.push(await command(pipeline, artifact));
  return lines;
}

async function command(pipeline: Pipeline, artifact: ManifestArtifact): Promise<string> {
  const decoders: string[] = [];
  for (const { use, parameters } of [...artifact.transforms].reverse()) {
    decoders.push((await transformNamed(pipeline, use, artifact.name)).byHand(parameters));
  }
  const [first, ...rest] = [...decoders, ...readBy(artifact)];
  if (first === undefined) return `cat ${artifact.key}`;
  return [`${first} < ${artifact.key}`, ...rest].join(' | ');
}

function readBy(artifact: ManifestArtifact): readonly string[] {
  switch (artifact.format) {
    case 'pg-custom':
      return ['pg_restore --exit-on-error --no-owner --dbname=NEW_EMPTY_DATABASE'];
    case 'sql':
      return ['psql --no-psqlrc --set=ON_ERROR_STOP=1 --dbname=postgres'];
    case 'json':
      return ['cat'];
    case 'tar':
      return ['tar --extract --directory=NEW_FOLDER'];
  }
}
