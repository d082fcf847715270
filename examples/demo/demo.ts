// The whole of pgsilo's main job on a throwaway server: `npm run demo`, `npm run demo -- --keep`.
import { startPostgres, type ThrowawayPostgres } from '@pgsilo/testkit/postgres';
import { writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { Fleet, type Content } from './fleet.ts';
import { leaveDemoFolder, makeDemoFolder } from './folder.ts';
import { offSite, type OffSite } from './off-site.ts';
import { afterwards, pipelineText } from './script.ts';
import { paint, Stage } from './stage.ts';
import { demoTenants } from './tenants.ts';

const root = join(import.meta.dirname, '..', '..');
const damaged = demoTenants.find(({ unit }) => unit === 'boreal')!;
const dropped = demoTenants.find(({ unit }) => unit === 'granja')!;
/** Without the copy elsewhere. */
const steps = 9;

const { values: options } = parseArgs({
  options: {
    keep: { type: 'boolean', default: false },
    folder: { type: 'string', default: join(root, '.demo') },
    // For tests: less data.
    scale: { type: 'string', default: '1' },
    bucket: { type: 'boolean', default: true },
  },
  allowNegative: true,
});

const interruption = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => {
    if (interruption.signal.aborted) process.exit(130);
    interruption.abort(new Error(`interrupted by ${name}`));
  });
}

let server: ThrowawayPostgres | undefined;
let elsewhere: OffSite | undefined;
let folder: string | undefined;
try {
  folder = makeDemoFolder(options.folder);
  await perform(folder);
} catch (error) {
  const { signal } = interruption;
  process.exitCode = signal.aborted ? 130 : 1;
  const reason = signal.aborted ? (signal.reason as Error) : (error as Error);
  process.stderr.write(`\n${paint('red', signal.aborted ? 'stopped' : 'failed')}  ${reason.message}\n`);
} finally {
  await elsewhere?.stop();
  await server?.stop();
  if (folder) leaveDemoFolder(folder);
}

async function perform(folder: string): Promise<void> {
  const { signal } = interruption;
  elsewhere = options.bucket ? await offSite(folder) : undefined;
  const stage = new Stage(folder, elsewhere ? steps + 1 : steps, signal);
  const fleet = await setUp(stage, folder);

  stage.step('A pipeline file says what is backed up, how, and where to');
  stage.say(paint('dim', pipelineText(folder).trimEnd()));
  await stage.pgsilo('validate', 'vigia.yaml');

  stage.step('Would a run work? Tools, server, privileges, sinks');
  await stage.pgsilo('doctor', 'vigia.yaml');

  stage.step('What would it do?');
  await stage.pgsilo('plan', 'vigia.yaml');

  stage.step('Back up all tenants, the registry and the roles');
  const before = {
    damaged: await fleet.content(damaged.database),
    dropped: await fleet.content(dropped.database),
  };
  await stage.pgsilo('backup', 'vigia.yaml');

  stage.step('What is there now?');
  await stage.pgsilo('list', 'vigia.yaml');

  stage.step('Is it whole? Every byte is read back, every archive to its end');
  await stage.pgsilo('verify', 'vigia.yaml', '--level', 'decode');

  if (elsewhere) await copyElsewhere(stage, elsewhere);

  stage.step('Two accidents');
  const lost = await fleet.deleteWithoutWhere(damaged.database, 'ocorrencias');
  stage.act(
    `In ${damaged.database}: DELETE FROM ocorrencias;   (without WHERE: ${lost.toLocaleString('en')} rows are gone)`,
  );
  await fleet.drop(dropped.database);
  stage.act(`On the server: DROP DATABASE ${dropped.database};`);
  const after = await fleet.content(damaged.database);
  if (after.hash === before.damaged.hash || (await fleet.exists(dropped.database)))
    throw new Error('the accidents did nothing');

  stage.step('Restore both');
  stage.say(
    'The damaged one is replaced while the application is connected; what was live is kept beside it:',
  );
  await stage.pgsilo('restore', 'vigia.yaml', damaged.unit, '--replace', '--yes');
  stage.say('\nThe dropped one gets its old name back:');
  await stage.pgsilo('restore', 'vigia.yaml', dropped.unit, '--to', dropped.database);

  stage.step('Are they what they were? Compared by SQL, without asking pgsilo');
  compare(stage, damaged.database, before.damaged, await fleet.content(damaged.database));
  compare(stage, dropped.database, before.dropped, await fleet.content(dropped.database));

  const near = relative(process.cwd(), folder);
  stage.say(afterwards(near.startsWith('..') ? folder : near || '.', folder, options.keep));
  if (options.keep) await keep(stage);
}

/** The rest of the demo restores from the disk; this shows that the bucket alone would do. */
async function copyElsewhere(stage: Stage, { file, text, secret }: OffSite): Promise<void> {
  stage.step('A copy elsewhere: encrypted here, in a bucket of a real S3 server on this machine');
  stage.say(paint('dim', text.trimEnd()));
  stage.use(secret);
  await stage.pgsilo('backup', file);
  await stage.pgsilo('verify', file, '--level', 'decode', dropped.unit);
  await stage.pgsilo('restore', file, dropped.unit, '--to', `${dropped.database}_from_bucket`);
}

async function setUp(stage: Stage, folder: string): Promise<Fleet> {
  const { signal } = interruption;
  const began = performance.now();
  stage.say(
    paint('bold', 'A throwaway PostgreSQL server with a registry and 12 tenants, for this demo alone'),
  );
  server = await startPostgres({
    settings: { shared_buffers: '128MB', maintenance_work_mem: '128MB', max_wal_size: '4GB' },
  });
  signal.throwIfAborted();
  // Nothing needs an orderly end yet: whatever fills a database is cut off.
  const cut = (): void => void server?.kill();
  signal.addEventListener('abort', cut);
  const fleet = new Fleet(server);
  await fleet.create(Number(options.scale), signal);
  signal.removeEventListener('abort', cut);
  writeFileSync(join(folder, 'connection'), `${server.url}\n`, { mode: 0o600 });
  writeFileSync(join(folder, 'vigia.yaml'), pipelineText(folder));
  const size = (await fleet.bytes()) / 1e6;
  const seconds = (performance.now() - began) / 1000;
  stage.say(
    `PostgreSQL ${server.major} on port ${server.port}, ${size.toFixed(0)} MB, ready in ${seconds.toFixed(1)} s`,
  );
  return fleet;
}

function compare(stage: Stage, database: string, before: Content, now: Content): void {
  const rows = (content: Content): string =>
    `${content.tables} tables, ${content.rows.toLocaleString('en')} rows, ${content.hash}`;
  stage.say(`  ${database}\n    before  ${rows(before)}\n    now     ${rows(now)}`);
  if (before.hash !== now.hash) throw new Error(`${database} is not what it was`);
  stage.good(`${database} is what it was`);
}

async function keep(stage: Stage): Promise<void> {
  stage.say(paint('bold', '\nThe server runs until you press Ctrl-C here.'));
  if (interruption.signal.aborted) return;
  // A signal alone keeps no process alive.
  const alive = setInterval(() => undefined, 3_600_000);
  await once(interruption.signal, 'abort');
  clearInterval(alive);
}
