const mebibyte = 1024 * 1024;

/** What the service allows for one block blob. */
export const mostBlocks = 50_000;
/** Bytes. */
export const largestBlock: number = 4000 * mebibyte;
/** Bytes; what is smaller only costs requests. */
export const smallestBlock: number = 64 * 1024;

/** After so many blocks their size doubles. */
const blocksOfOneSize = 5_000;
/** Blocks on their way at once; more connections do not make one object faster. */
const mostInFlight = 8;

/** How a body is cut; sizes are in bytes. */
export interface BlockPlan {
  /** Size of the block with this index; never less than that of the one before. */
  sizeOf(index: number): number;
  /** Most bytes of blocks that may be held at once: the one that is being filled and those on their way. */
  readonly memory: number;
  readonly inFlight: number;
}

/**
 * Blocks begin at `blockSize`, or larger when the body is expected to need more than half of the blocks that there may be, and double as they go:
 * a guess may be wrong. None is larger than half of the memory, so that one is filled while another is sent.
 */
export function planBlocks(blockSize: number, estimatedBytes: number, memory: number): BlockPlan {
  const largest = Math.max(1, Math.min(largestBlock, Math.floor(memory / 2)));
  const first = Math.min(largest, Math.max(blockSize, Math.ceil(estimatedBytes / (mostBlocks / 2))));
  return {
    sizeOf: (index) => Math.min(largest, first * 2 ** Math.floor(index / blocksOfOneSize)),
    memory,
    inFlight: mostInFlight,
  };
}

/** The largest body that a plan can store. */
export function capacityOf(plan: BlockPlan): number {
  let bytes = 0;
  for (let index = 0; index < mostBlocks; index += blocksOfOneSize)
    bytes += plan.sizeOf(index) * blocksOfOneSize;
  return bytes;
}
