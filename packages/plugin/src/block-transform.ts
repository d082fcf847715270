import { SpareBlocks } from './block-map.ts';
import { decodeBlocks, encodeBlocks, limitsOf } from './block-stream.ts';
import type { BlockFormat } from './block-stream.ts';
import type { Body, Context, JsonObject } from './context.ts';
import { PgsiloError } from './errors.ts';
import type { Encoded, Transform } from './transform.ts';

/** Bytes. What is written must be readable within a bound, whatever a manifest claims. */
export const blockSizeRange: { readonly smallest: number; readonly largest: number } = {
  smallest: 64 * 1024,
  largest: 16 * 1024 * 1024,
};

export interface BlockTransformSettings {
  readonly suffix: string;
  readonly byHand: string;
  /** Bytes; smaller where the context's memory asks for it. */
  readonly blockSize: number;
}

/** A compressing transform of a {@link BlockFormat}; its one parameter is the size of the blocks that were written. */
export function blockTransform(format: BlockFormat, settings: BlockTransformSettings): Transform {
  const spare = new SpareBlocks();
  return {
    suffix: settings.suffix,
    byHand: () => settings.byHand,
    encode(body: Body, _about, context: Context): Promise<Encoded> {
      const limits = limitsOf(settings.blockSize, context);
      return Promise.resolve({
        body: encodeBlocks(body, format, limits, context.signal, spare),
        parameters: { blockSize: limits.blockSize },
      });
    },
    async *decode(body: Body, parameters: JsonObject, context: Context): Body {
      // Of write-ahead log nobody has kept them: as large as any may be.
      const { blockSize = blockSizeRange.largest } = parameters;
      if (
        !Number.isSafeInteger(blockSize) ||
        Number(blockSize) < 1 ||
        Number(blockSize) > blockSizeRange.largest
      ) {
        throw new PgsiloError(
          'transform.corrupt',
          `a ${format.name} stream with blocks of ${JSON.stringify(blockSize)} bytes is none of pgsilo's`,
        );
      }
      const known = 'blockSize' in parameters;
      yield* decodeBlocks(body, format, limitsOf(Number(blockSize), context, true), context.signal, known);
    },
  };
}
