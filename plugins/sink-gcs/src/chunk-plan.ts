const mebibyte = 1024 * 1024;

/** Bytes: what the service takes for one object. */
export const largestObject: number = 5 * 1024 * 1024 * mebibyte;
/** Bytes: all chunks but the last are multiples of it. */
export const quantum: number = 256 * 1024;

/** How a body is cut; sizes are in bytes. */
export interface ChunkPlan {
  readonly chunk: number;
  /** Whether the next chunk is read while one is sent: then two are held. */
  readonly ahead: boolean;
}

/** A session takes one chunk after the other, so that two are in memory: one on its way, and one that is filled meanwhile. */
export function planChunks(chunkSize: number, memory: number): ChunkPlan {
  const most = Math.floor(memory / 2 / quantum) * quantum;
  const wanted = Math.ceil(chunkSize / quantum) * quantum;
  return { chunk: Math.max(quantum, Math.min(wanted, most)), ahead: most >= quantum };
}
