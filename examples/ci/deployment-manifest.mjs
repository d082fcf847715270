// Reads the report of `pgsilo backup --json` on standard input and prints the deployment manifest of a release.
import { readFileSync } from 'node:fs';

const release = process.argv[2];
const { runs } = JSON.parse(readFileSync(0, 'utf8'));
const backups = runs.flatMap(({ pipeline, report }) =>
  report.units.map(({ unit, backup, status }) => {
    if (status !== 'good' || !backup) throw new Error(`${pipeline}: unit ${unit} is not backed up`);
    return { pipeline, unit, backup };
  }),
);
if (backups.length === 0) throw new Error('the report names no backup');
process.stdout.write(`${JSON.stringify({ release, backups }, null, 2)}\n`);
