// node large-body.ts encrypt|decrypt FOLDER BYTES: encrypts so many bytes into a file of the folder, or decrypts that file, and prints what this process needed.
import { createReadStream } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Body, JsonObject } from '@pgsilo/plugin';
import { testContext } from '@pgsilo/testkit';
import { makeTransform } from './setup.ts';

const [direction, folder = '', length] = process.argv.slice(2);
const file = { encrypted: join(folder, 'encrypted'), parameters: join(folder, 'parameters.json') };
const transform = await makeTransform({
  recipients: [join(folder, 'ops.asc')],
  decryptKeys: [join(folder, 'ops-private.asc')],
});
const context = testContext();
const began = performance.now();
let bytes = 0;
if (direction === 'encrypt') {
  const about = { unit: 'acme', run: 'run', artifact: 'database.dump' };
  const { body, parameters } = await transform.encode(largeBody(Number(length)), about, context);
  await writeFile(file.parameters, JSON.stringify(parameters));
  await writeFile(file.encrypted, body);
  bytes = Number(length);
} else {
  const parameters = JSON.parse(await readFile(file.parameters, 'utf8')) as JsonObject;
  const body = transform.decode(createReadStream(file.encrypted), parameters, context);
  for await (const chunk of body) bytes += chunk.length;
}
const seconds = (performance.now() - began) / 1000;
const [, peak] = /^VmHWM:\s+(\d+) kB/m.exec(await readFile('/proc/self/status', 'utf8'))!;
process.stdout.write(JSON.stringify({ bytes, seconds, peak: Number(peak) * 1024 }));

/** Always of the same chunk: what making new ones needs is not the transform's. */
async function* largeBody(length: number): Body {
  const chunk = Buffer.alloc(64 * 1024, 'rows');
  for (let left = length; left > 0; left -= chunk.length) yield chunk.subarray(0, left);
}
