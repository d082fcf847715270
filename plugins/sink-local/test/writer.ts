/** A process that puts one object, for tests with several: `writer.ts FOLDER KEY CONTENT [stall]`; prints how it went. */
import { PgsiloError } from '@pgsilo/plugin';
import type { Body } from '@pgsilo/plugin';
import { stalledBody, testContext } from '@pgsilo/testkit';
import plugin from '../src/index.ts';
import { createLocalSink } from '../src/sink.ts';

const [folder = '', key = '', content = '', stall] = process.argv.slice(2);

async function* body(): Body {
  yield Buffer.alloc(2_000_000, content);
  process.stdout.write('half\n');
  if (stall === undefined) await new Promise((resolve) => process.stdin.once('data', resolve));
  else yield* stalledBody();
  yield Buffer.alloc(2_000_000, content);
}

// What stalls keeps no process alive.
const alive = setInterval(() => {}, 60_000);
try {
  const sink = createLocalSink(plugin.options.parse({ path: 'objects' }), { folder });
  await sink.put(key, body(), { kind: 'artifact' }, testContext());
  process.stdout.write('stored\n');
} catch (error) {
  process.stdout.write(`${error instanceof PgsiloError ? error.code : String(error)}\n`);
} finally {
  clearInterval(alive);
  process.stdin.destroy();
}
