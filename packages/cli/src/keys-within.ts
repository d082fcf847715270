import { realpath } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative } from 'node:path';
import type { Transform } from '@pgsilo/plugin';

/** A folder with keys of the transform that lies in the place of a sink, whatever links lead there; undefined when there is none. */
export async function keysWithin(
  place: string | undefined,
  { keyFolders = [] }: Transform,
): Promise<string | undefined> {
  if (place === undefined || !isAbsolute(place)) return undefined;
  const sink = await realPath(place);
  for (const folder of keyFolders) {
    const below = relative(sink, await realPath(folder));
    if (below === '' || (!isAbsolute(below) && below.split('/')[0] !== '..')) return folder;
  }
  return undefined;
}

/** The real path of what is there, and the rest as it is: a first backup makes these folders. */
async function realPath(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    const above = dirname(path);
    return above === path ? path : join(await realPath(above), basename(path));
  }
}
