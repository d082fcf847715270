import type { Body, JsonObject, Setup, Transform } from '@pgsilo/plugin';
import { bodyOf, collect, recordingLogger, testContext } from '@pgsilo/testkit';
import type { RecordingLogger, TestContext } from '@pgsilo/testkit';
import plugin from '../src/index.ts';

export interface TestSetup extends Setup {
  readonly log: RecordingLogger;
}

export function setupIn(folder: string): TestSetup {
  return { pipeline: 'fleet', folder, log: recordingLogger() };
}

export async function makeTransform(options: object, setup: Setup = setupIn('/')): Promise<Transform> {
  return await plugin.create(plugin.options.parse(options), setup);
}

export interface EncodedBytes {
  readonly bytes: Buffer;
  readonly parameters: JsonObject;
}

export async function encode(
  transform: Transform,
  body: Body | string | Uint8Array,
  unit = 'acme',
  context: TestContext = testContext(),
): Promise<EncodedBytes> {
  const raw = typeof body === 'string' || body instanceof Uint8Array ? bodyOf(body) : body;
  const encoded = await transform.encode(raw, { unit, run: 'run', artifact: 'database.dump' }, context);
  return { bytes: await collect(encoded.body), parameters: encoded.parameters };
}

/** What gpg wrote has no parameters. */
export function decode(
  transform: Transform,
  { bytes, parameters = {} }: { readonly bytes: Uint8Array; readonly parameters?: JsonObject },
): Promise<Buffer> {
  return collect(transform.decode(bodyOf(bytes), parameters, testContext()));
}
