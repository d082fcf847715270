import type { BackupView, Context } from '@pgsilo/plugin';
import { findArtifact } from '@pgsilo/postgres';
import type { ServerTexts } from './lock-down.ts';
import { serverFilesName } from './server-files.ts';
import { tarEntries } from './tar-entries.ts';

/** The configuration files, wherever they lay, by absolute path; none where the backup has none. */
export async function readServerTexts(backup: BackupView, { signal }: Context): Promise<ServerTexts> {
  const artifact = findArtifact(backup, serverFilesName);
  const texts = new Map<string, Buffer>();
  if (artifact)
    for await (const { path, body } of tarEntries(artifact, signal)) {
      const chunks: Uint8Array[] = [];
      for await (const chunk of body) chunks.push(chunk);
      texts.set(`/${path}`, Buffer.concat(chunks));
    }
  return texts;
}
