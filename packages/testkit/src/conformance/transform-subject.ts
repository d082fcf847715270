import type { Body, Context, JsonObject, Transform, TransformTraits } from '@pgsilo/plugin';
import { bodyOf, collect } from '../bodies.ts';
import { declareCheck } from './check.ts';
import type { Check, CheckAbout, Waivable } from './check.ts';

/** A transform to be checked. */
export interface TransformSubject extends Waivable {
  readonly transform: Transform;
  readonly traits: TransformTraits;
  /** Size of the largest body that is sent through, in bytes; 64 MiB unless told. */
  readonly largeBytes?: number;
  /** A body of this length becomes several blocks, where the transform has any; 5 MiB unless told. */
  readonly severalBlocks?: number;
  /** What the command of `byHand` needs in its environment, such as a key ring. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Frees what the factory made, after the transform was closed. */
  dispose?(): Promise<void>;
}

/** Makes a transform anew for each check. */
export type TransformFactory = () => Promise<TransformSubject>;
export type TransformCheck = Check<TransformFactory>;

export interface TransformUnderCheck extends TransformSubject {
  readonly context: Context;
}

export const identity = { unit: 'acme', run: '20261121T020000Z-7f3a9c', artifact: 'database.dump' } as const;

/** Declares a check whose transform is closed afterwards, however it ends. */
export function transformCheck(
  about: CheckAbout,
  tryOut: (subject: TransformUnderCheck) => Promise<string | void>,
): TransformCheck {
  return declareCheck(
    about,
    (subject: TransformSubject, context) => ({ ...subject, context }),
    tryOut,
    async ({ transform, dispose }) => {
      await transform.close?.();
      await dispose?.();
    },
  );
}

/** A body as it was encoded, in the chunks that came. */
export interface EncodedBytes {
  readonly bytes: Buffer;
  readonly chunks: readonly Buffer[];
  readonly parameters: JsonObject;
}

export async function encodeBytes(
  { transform, context }: TransformUnderCheck,
  body: Body,
): Promise<EncodedBytes> {
  const encoded = await transform.encode(body, identity, context);
  const chunks: Buffer[] = [];
  for await (const chunk of encoded.body) chunks.push(Buffer.from(chunk));
  // As it comes back from a manifest.
  const parameters = JSON.parse(JSON.stringify(encoded.parameters)) as JsonObject;
  return { bytes: Buffer.concat(chunks), chunks, parameters };
}

export function decodeBytes(
  { transform, context }: TransformUnderCheck,
  bytes: Uint8Array,
  parameters: JsonObject,
): Promise<Buffer> {
  return collect(transform.decode(bodyOf(bytes), parameters, context));
}
