import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createTenants, tenantNames } from './fleet-data.ts';
import { measure, median, type Measured } from './measure.ts';
import { fleetPipeline, withServer } from './server.ts';

/** What users would run instead, and pgsilo. */
interface Contender {
  readonly name: string;
  readonly how: string;
  run(folder: string): Promise<Measured>;
}

export interface FleetOptions {
  readonly rounds: number;
  readonly tenants: number;
}

const megabyte = 1e6;

/**
 * Backs up a fleet of databases by pgsilo, by the loop that teams have, and by the fastest line of shell; in turns, after one round that does not count.
 * Prints medians, and ratios within this run: seconds differ from machine to machine.
 */
export async function benchFleet({ rounds, tenants }: FleetOptions): Promise<void> {
  await withServer(async (server, env) => {
    const names = tenantNames(tenants);
    process.stderr.write(`making ${tenants} databases …\n`);
    const bytes = await createTenants(server, names);
    const list = join(server.folder, 'tenants');
    await writeFile(list, names.map((name) => `${name}\n`).join(''));
    const shell = (name: string, how: string): Contender => ({
      name,
      how,
      run: (folder) =>
        measure('bash', ['-c', `set -eu -o pipefail\n${how}`, 'bash', list, folder], { env, cwd: folder }),
    });
    const contenders: readonly Contender[] = [
      {
        name: 'pgsilo',
        how: 'pgsilo backup fleet.yaml',
        async run(folder) {
          await writeFile(join(folder, 'fleet.yaml'), fleetPipeline);
          return measure('pgsilo', ['backup', 'fleet.yaml', '--quiet'], { env, cwd: folder });
        },
      },
      shell('loop', 'while read -r db; do pg_dump -Fc -f "$2/$db.dump" "$db"; done < "$1"'),
      shell(
        'xargs',
        `xargs -P2 -I{} sh -c 'pg_dump -Fc -Z0 "$1" | zstd -3 -q > "$2/$1.dump.zst"' sh {} "$2" < "$1"`,
      ),
    ];
    const results = new Map(contenders.map(({ name }) => [name, [] as Measured[]]));
    const sizes = new Map<string, number>();
    for (let round = 0; round <= rounds; round += 1) {
      for (const contender of contenders) {
        const folder = join(server.folder, contender.name);
        await mkdir(folder);
        const measured = await contender.run(folder);
        sizes.set(contender.name, await bytesIn(folder));
        await rm(folder, { recursive: true });
        process.stderr.write(`round ${round}: ${contender.name} ${measured.seconds.toFixed(2)} s\n`);
        if (round > 0) results.get(contender.name)!.push(measured);
      }
    }
    report(contenders, results, sizes, { bytes, rounds, tenants });
  });
}

function report(
  contenders: readonly Contender[],
  results: ReadonlyMap<string, readonly Measured[]>,
  sizes: ReadonlyMap<string, number>,
  about: FleetOptions & { readonly bytes: number },
): void {
  const seconds = (name: string): number => median(results.get(name)!.map((one) => one.seconds));
  const own = seconds('pgsilo');
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  say(
    `${about.tenants} databases, ${(about.bytes / megabyte).toFixed(0)} MB in the server; medians of ${about.rounds} rounds`,
  );
  for (const { name, how } of contenders) {
    const all = results.get(name)!.map((one) => one.seconds);
    say(
      `${name.padEnd(7)} ${seconds(name).toFixed(2).padStart(7)} s (${Math.min(...all).toFixed(2)} to ${Math.max(...all).toFixed(2)})` +
        `  ${(sizes.get(name)! / megabyte).toFixed(0).padStart(5)} MB stored   ${how}`,
    );
  }
  const peak = Math.max(...results.get('pgsilo')!.map((one) => one.peakBytes));
  say(`pgsilo is ${(seconds('loop') / own).toFixed(2)} times as fast as the loop (wanted: 2.3 or more)`);
  say(`pgsilo takes ${(own / seconds('xargs')).toFixed(2)} times as long as xargs (wanted: 1.25 or less)`);
  say(`pgsilo's process held ${(peak / megabyte).toFixed(0)} MB at most (wanted: under 250)`);
}

async function bytesIn(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
  }
  return bytes;
}
