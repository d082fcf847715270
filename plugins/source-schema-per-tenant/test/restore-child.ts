// Restores in a process of its own and kills itself, as a power cut would, at the beginning of the step that it is told, or some milliseconds into it.
import { readFileSync } from 'node:fs';
import type { RestoreRequest, UnitFacts } from '@pgsilo/plugin';
import { backupIn, request, restore } from './backups.ts';
import { setupOf } from './fixture.ts';

const { url, folder, schema, killAt, after, more } = JSON.parse(process.argv[2]!) as {
  url: string;
  folder: string;
  schema: string;
  killAt: string;
  after: number;
  more: Partial<RestoreRequest>;
};
const facts = JSON.parse(readFileSync(`${folder}/facts.json`, 'utf8')) as UnitFacts;
const wanted = request(await backupIn(folder, schema, ['schema.dump', 'fingerprint.json'], facts), more);
const die = (): void => {
  process.kill(process.pid, 'SIGKILL');
};
await restore(setupOf(url, { match: '*' }), {
  ...wanted,
  step: (name, work) => {
    if (name === killAt) {
      if (after < 0) die();
      else setTimeout(die, after);
    }
    return work();
  },
});
