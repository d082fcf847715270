/** Where a pipeline's write-ahead log lies; design and invariants: docs/format.md. */
export const walPrefix = (pipeline: string): string => `${pipeline}/wal/`;

/** What every object of one timeline begins with. */
export const walTimelinePrefix = (pipeline: string, timeline: string): string =>
  `${walPrefix(pipeline)}${timeline}/`;

/** What every object of one file of the log begins with, whatever it holds. */
export const walFilePrefix = (pipeline: string, timeline: string, name: string): string =>
  `${walTimelinePrefix(pipeline, timeline)}${name}-`;

/** How much of the SHA-256 of the file stands in its key, in hex digits. */
export const walHashDigits = 16;

/** An object that holds a file of the log. */
export interface WalObject {
  readonly key: string;
  /** The first digits of the SHA-256 of what it decodes to. */
  readonly hash: string;
  /** Suffixes of the transforms that it went through, in the order of their use: `.zst.gpg`. */
  readonly suffixes: string;
  /** Size as it is stored. */
  readonly bytes: number;
}

/** Undefined for a key that is none of a file of the log. */
export function parseWalKey(prefix: string, key: string, bytes: number): WalObject | undefined {
  const match = /^([0-9a-f]{16})((?:\.[a-z0-9]+)*)$/.exec(key.slice(prefix.length));
  if (!key.startsWith(prefix) || !match) return undefined;
  return { key, hash: match[1]!, suffixes: match[2]!, bytes };
}
