const halfLife = 4000;

/** Smoothed speed of a counter that is looked at now and then, in bytes per second. */
export class Rate {
  #bytes: number;
  #at: number;
  #value: number | undefined;

  constructor(bytes: number, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  /** Takes a look at the counter; a counter that went back (a job begun anew) starts the measuring again. */
  look(bytes: number, at: number): number {
    const elapsed = at - this.#at;
    if (bytes < this.#bytes) this.#value = undefined;
    else if (elapsed > 0) {
      const speed = ((bytes - this.#bytes) * 1000) / elapsed;
      const kept = 0.5 ** (elapsed / halfLife);
      this.#value = this.#value === undefined ? speed : this.#value * kept + speed * (1 - kept);
    }
    this.#bytes = bytes;
    this.#at = at;
    return this.#value ?? 0;
  }
}
