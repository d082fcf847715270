import { createReadStream } from 'node:fs';
import { artifactOf, type ProofKind } from '@pgsilo/postgres';
import { readContents } from './inspect.ts';
import { artifactName } from './read.ts';

/** How a whole server is proved: in a server of its own. */
export const proof: ProofKind = {
  takesServer: () => true,
  globalsOf: async (backup, context) => {
    const file = await artifactOf(backup, artifactName).spool();
    return (await readContents(createReadStream(file), context)).globals;
  },
  archiveOf: () => undefined,
};
