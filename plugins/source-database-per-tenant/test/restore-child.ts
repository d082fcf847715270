// Restores in a process of its own and kills itself, as a power cut would, at the beginning of the step that it is told, or some milliseconds into it.
import { backupIn, request, restore, setupFor } from './backups.ts';

const { url, folder, unit, killAt, after, replace, dropOld } = JSON.parse(process.argv[2]!) as {
  url: string;
  folder: string;
  unit: string;
  killAt: string;
  after: number;
  replace: boolean;
  dropOld: boolean;
};
const wanted = request(await backupIn(folder, unit), { replace, dropOld });
const die = (): void => {
  process.kill(process.pid, 'SIGKILL');
};
const outcome = await restore(setupFor(url), {
  ...wanted,
  step: (name, work) => {
    if (name === killAt) {
      if (after < 0) die();
      else setTimeout(die, after);
    }
    return work();
  },
});
process.stdout.write(JSON.stringify(outcome));
