/** What was opened lately, and no more of it: a fleet has thousands of keys. */
export class Lately<Value> {
  readonly #most: number;
  readonly #values = new Map<string, Promise<Value>>();

  constructor(most: number) {
    this.#most = most;
  }

  get(name: string, open: () => Promise<Value>): Promise<Value> {
    const known = this.#values.get(name);
    if (known) return known;
    const value = open();
    // What cannot be opened now may be at the next call, when the card is there.
    value.catch(() => this.#values.delete(name));
    const [oldest] = this.#values.keys();
    if (oldest !== undefined && this.#values.size >= this.#most) this.#values.delete(oldest);
    this.#values.set(name, value);
    return value;
  }

  forget(name: string): void {
    this.#values.delete(name);
  }
}
