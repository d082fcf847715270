/**
 * Bodies as blocks: cut, work on several at once, put back in order. What the compressing transforms share.
 * Nothing here runs ahead of its reader by more than the blocks in flight.
 */
export { cutBlocks, mapInOrder, SpareBlocks } from './block-map.ts';
export { decodeBlocks, encodeBlocks, limitsOf } from './block-stream.ts';
export type { BlockFormat, BlockLimits } from './block-stream.ts';
export { blockSizeRange, blockTransform } from './block-transform.ts';
export type { BlockTransformSettings } from './block-transform.ts';
