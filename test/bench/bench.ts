// Benchmarks against what users would run instead: `npm run bench -- fleet`. They print figures and fail only when something does not run.
import { parseArgs } from 'node:util';
import { buildCommand } from '../services/built-command.ts';
import { benchCatalog } from './catalog.ts';
import { benchFleet } from './fleet.ts';
import { benchGpg } from './gpg.ts';
import { benchMemory } from './memory.ts';
import { benchSchemas } from './schemas.ts';
import { benchSinks } from './sinks.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '3' },
    tenants: { type: 'string', default: '40' },
    schemas: { type: 'string', default: '1000' },
  },
});
const benchmarks: Record<string, () => Promise<void>> = {
  fleet: () => benchFleet({ rounds: Number(values.rounds), tenants: Number(values.tenants) }),
  memory: benchMemory,
  catalog: benchCatalog,
  gpg: () => benchGpg({ rounds: Number(values.rounds) }),
  schemas: () => benchSchemas({ rounds: Number(values.rounds), schemas: Number(values.schemas) }),
  sinks: () => benchSinks({ rounds: Number(values.rounds) }),
};
const [name = ''] = positionals;
const benchmark = benchmarks[name];
if (benchmark) {
  const removeCommand = await buildCommand();
  await benchmark().finally(removeCommand);
} else {
  process.stderr.write(
    `Which benchmark? npm run bench -- ${Object.keys(benchmarks).join('|')} [--rounds 3]\n`,
  );
  process.exitCode = 2;
}
