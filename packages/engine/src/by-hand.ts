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
  for (const artifact of manifest.artifacts) lines.push(...(await commands(pipeline, manifest, artifact)));
  return lines;
}

async function commands(
  pipeline: Pipeline,
  manifest: Manifest,
  artifact: ManifestArtifact,
): Promise<readonly string[]> {
  const decoders: string[] = [];
  for (const { use, parameters } of [...artifact.transforms].reverse()) {
    decoders.push((await transformNamed(pipeline, use, artifact.name)).byHand(parameters));
  }
  const { before, reader } = readBy(artifact, manifest.tool);
  const [first, ...rest] = [...decoders, reader];
  return [...before, [`${first} < ${artifact.key}`, ...rest].join(' | ')];
}

/** The program that takes the original bytes, and what to do and know before. */
function readBy(
  { name, format }: ManifestArtifact,
  tool: string,
): {
  readonly before: readonly string[];
  readonly reader: string;
} {
  switch (format) {
    case 'pg-custom':
      return {
        before: [
          // A later one sends settings that an older server refuses.
          `# with pg_restore of the server's own major version; the archive was written by ${tool}`,
          'createdb --template=template0 NEW_DATABASE',
        ],
        reader: 'pg_restore --exit-on-error --no-owner --no-privileges --dbname=NEW_DATABASE',
      };
    case 'sql':
      // Not with ON_ERROR_STOP: every server has the role postgres.
      return {
        before: ['# a role that exists already is an error here that does no harm'],
        reader: 'psql --no-psqlrc --dbname=postgres',
      };
    case 'json':
      return { before: ['# to be read: what the archive does not bring back'], reader: 'cat' };
    case 'tar':
      return unpacked(name);
  }
}

/** Files of a server: its data directory, and folders of tablespaces beside it. */
function unpacked(name: string): ReturnType<typeof readBy> {
  const tablespace = /(?:^|-)tablespace-(\d+)/.exec(name)?.[1];
  if (tablespace !== undefined)
    return {
      before: [`# the folder that NEW_FOLDER/pg_tblspc/${tablespace} is to lead to`],
      reader: `tar --extract --directory=NEW_TABLESPACE_${tablespace}`,
    };
  if (name.startsWith('server-files.'))
    return {
      before: ['# to be read: settings and access rules, which may have lain elsewhere'],
      reader: 'tar --extract --directory=NEW_SETTINGS',
    };
  return {
    before: ['# an empty folder of mode 0700, which becomes the data directory'],
    reader: 'tar --extract --directory=NEW_FOLDER',
  };
}
