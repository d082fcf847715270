/** Segments from one number to another, both included. */
export interface Run {
  readonly from: number;
  readonly to: number;
}

const bits = 32;

/** Which segments of a timeline there are. A bit for each, so that a million of them in any order take a megabyte or so. */
export class SegmentSet {
  readonly #words = new Map<number, number>();
  #runs: readonly Run[] | undefined;
  count = 0;

  /** @returns false where it was there. */
  add(number: number): boolean {
    if (this.has(number)) return false;
    const at = Math.floor(number / bits);
    this.#words.set(at, (this.#words.get(at) ?? 0) | (1 << (number % bits)));
    this.#runs = undefined;
    this.count += 1;
    return true;
  }

  delete(number: number): void {
    if (!this.has(number)) return;
    const at = Math.floor(number / bits);
    this.#words.set(at, this.#words.get(at)! & ~(1 << (number % bits)));
    this.#runs = undefined;
    this.count -= 1;
  }

  has(number: number): boolean {
    return ((this.#words.get(Math.floor(number / bits)) ?? 0) & (1 << (number % bits))) !== 0;
  }

  /** In order; between each two of them something is missing. */
  get runs(): readonly Run[] {
    return (this.#runs ??= [...this.#read()]);
  }

  /** The run that a segment is in, else the one behind it; undefined: there is none. */
  runFrom(number: number): Run | undefined {
    const { runs } = this;
    let [low, high] = [0, runs.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (runs[middle]!.to < number) low = middle + 1;
      else high = middle;
    }
    return runs[low];
  }

  *#read(): Generator<Run> {
    let open: { from: number; to: number } | undefined;
    for (const at of [...this.#words.keys()].sort((a, b) => a - b))
      for (let bit = 0, word = this.#words.get(at)!; bit < bits; bit += 1) {
        if (!(word & (1 << bit))) continue;
        const number = at * bits + bit;
        if (open && open.to === number - 1) open.to = number;
        else {
          if (open) yield open;
          open = { from: number, to: number };
        }
      }
    if (open) yield open;
  }
}
