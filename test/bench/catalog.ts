import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cleanEnvironment } from '../services/pgsilo.ts';
import { sealedDocument } from '../services/sealed-document.ts';
import { measure } from './measure.ts';

const megabyte = 1e6;
const day = 86_400_000;
const days = 100;
const foldersAtOnce = 64;
const artifacts = ['database.dump', 'settings.json', 'fingerprint.json'];

/** How long `list` and `prune --dry-run` take over a small and a large catalog in a folder, and the most memory that they hold. */
export async function benchCatalog(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'pgsilo-catalog-'));
  try {
    for (const units of [100, 1000]) {
      const name = `store-${units}`;
      process.stderr.write(`making ${units * days} backups …\n`);
      await makeStore(join(folder, name), units);
      await writeFile(join(folder, 'fleet.yaml'), pipelineOver(name));
      process.stdout.write(`${units * days} backups of ${units} units\n`);
      for (const command of [
        ['list', 'fleet.yaml', '--json'],
        ['prune', 'fleet.yaml', '--dry-run', '--json'],
      ]) {
        const { seconds, peakBytes } = await measure('pgsilo', command, {
          env: cleanEnvironment(),
          cwd: folder,
        });
        const figures = `${seconds.toFixed(1).padStart(5)} s, ${(peakBytes / megabyte).toFixed(0).padStart(4)} MB at most`;
        process.stdout.write(`  ${command.join(' ').padEnd(36)} ${figures}\n`);
      }
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const pipelineOver = (store: string): string => `pipeline: fleet
source: { use: database-per-tenant, connection: postgresql://nobody@127.0.0.1:1/postgres, match: ["tenant_*"] }
sinks: [{ use: local, path: ${store} }]
retention: { last: 3, daily: 30, monthly: 12 }
`;

/** Backups of the last hundred nights, one object and a manifest each; the manifests are of the usual size. */
async function makeStore(store: string, units: number): Promise<void> {
  const newest = Math.floor(Date.now() / day) * day;
  for (let night = 0; night < days; night += 1) {
    const time = new Date(newest - night * day).toISOString();
    const stamp = time.replace(/\.\d+Z$/u, 'Z').replaceAll(/[-:]/gu, '');
    const run = `${stamp}-${night.toString(16).padStart(6, '0')}`;
    for (let unit = 0; unit < units; unit += foldersAtOnce) {
      const some = Array.from({ length: Math.min(foldersAtOnce, units - unit) }, (_, index) => unit + index);
      await Promise.all(some.map((each) => writeBackup(store, `tenant_${each}`, run, time)));
    }
  }
}

async function writeBackup(store: string, unit: string, run: string, time: string): Promise<void> {
  const folder = join(store, 'fleet', 'units', unit, run);
  await mkdir(folder, { recursive: true });
  const body = `dump of ${unit}`;
  const sha256 = createHash('sha256').update(body).digest('hex');
  const times = { startedAt: time, finishedAt: time, snapshotAt: time };
  const sizes = { bytes: body.length, sha256, storedBytes: body.length, storedSha256: sha256 };
  const manifest = sealedDocument({
    format: 1,
    pipeline: 'fleet',
    unit: { name: unit, labels: { plan: 'pro' }, origin: { database: unit } },
    backup: run,
    run,
    labels: {},
    ...times,
    pgsilo: '0.1.0',
    source: 'database-per-tenant',
    server: { version: '15.18' },
    tool: 'pg_dump 15.18',
    status: 'good',
    requires: [],
    about: { tables: 2 },
    artifacts: artifacts.map((name) => ({ name, format: 'json', key: name, ...sizes, transforms: [] })),
  });
  await Promise.all([
    writeFile(join(folder, 'database.dump'), body),
    writeFile(join(folder, 'manifest.json'), manifest),
  ]);
}
