import { largestPart, smallestPart } from './part-limits.ts';

/** How a body is cut; sizes are in bytes. */
export interface PartPlan {
  /** Size of the part with this index; never less than that of the one before. */
  sizeOf(index: number): number;
  readonly maxParts: number;
  /** Most bytes of parts that may be held in memory at once: the one that is being filled and those on their way. */
  readonly memory: number;
  /** A larger part goes through a file in the scratch folder. */
  readonly largestHeld: number;
  /** Parts on their way at once. */
  readonly inFlight: number;
}

export interface PartSettings {
  readonly partSize: number;
  readonly maxParts: number;
  readonly concurrency: number;
  readonly equalParts: boolean;
}

/** What the store allows, so that tests can try the same on a small scale. */
export interface PartLimits {
  readonly smallest: number;
  readonly largest: number;
}

const limitsOfService: PartLimits = { smallest: smallestPart, largest: largestPart };

/** Of all parts, those that are held in memory: so many, or more where the estimate says that they will do. The others are for what nobody thought of. */
const heldShare = { least: 0.4, most: 0.8 } as const;
/** A body may be larger than the estimate by this factor before its parts have to grow. */
const margin = 2;

/**
 * Nobody knows how long a body is, and an upload has so many parts and no more. So parts begin at `partSize`, or larger when the estimate asks for it, and double as they go, up to half of
 * the memory: one is filled while another is sent. The last of them go on growing up to the largest that the store takes; such parts pass through a file.
 */
export function planParts(
  settings: PartSettings,
  estimatedBytes: number,
  memory: number,
  limits: PartLimits = limitsOfService,
): PartPlan {
  const { maxParts, concurrency: inFlight } = settings;
  const largestHeld = Math.min(limits.largest, Math.max(limits.smallest, Math.floor(memory / 2)));
  const common = { maxParts, memory, largestHeld, inFlight };
  const modest = Math.min(settings.partSize, largestHeld);
  const needed = Math.min(limits.largest, Math.max(modest, Math.ceil((estimatedBytes * margin) / maxParts)));
  if (settings.equalParts) return { ...common, sizeOf: () => needed };
  const mostHeld = Math.floor(maxParts * heldShare.most);
  const spooledAtOnce = needed > largestHeld && estimatedBytes * margin > mostHeld * largestHeld;
  if (spooledAtOnce) {
    const step = Math.max(1, Math.floor(maxParts / 10));
    return { ...common, sizeOf: (index) => Math.min(limits.largest, needed * 2 ** Math.floor(index / step)) };
  }
  const first = Math.min(needed, largestHeld);
  const step = Math.max(1, Math.floor(maxParts / 20));
  const lateStep = Math.max(1, Math.floor(maxParts / 100));
  const heldSize = (index: number): number => Math.min(largestHeld, first * 2 ** Math.floor(index / step));
  let held = 0;
  for (let bytes = 0; held < mostHeld && bytes < estimatedBytes * margin; held += 1) bytes += heldSize(held);
  held = Math.max(held, Math.floor(maxParts * heldShare.least));
  return {
    ...common,
    sizeOf: (index) =>
      index < held
        ? heldSize(index)
        : Math.min(limits.largest, largestHeld * 2 ** (1 + Math.floor((index - held) / lateStep))),
  };
}

/** The largest body that a plan can store. */
export function capacityOf({ sizeOf, maxParts }: PartPlan): number {
  let bytes = 0;
  for (let index = 0; index < maxParts; index += 1) bytes += sizeOf(index);
  return bytes;
}
