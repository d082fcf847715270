import type { Slots } from './slots.ts';

/**
 * Puts of one job whose bodies have been read to their end and whose stores have not answered yet. The source goes on meanwhile: many small
 * artifacts would otherwise wait for one round trip each.
 */
export class LateAnswers {
  readonly #places: Slots;
  readonly #answers = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;

  /** @param places how many puts of a run may be waited for at once. */
  constructor(places: Slots) {
    this.#places = places;
  }

  /** Resolves when the source may go on. */
  async add(answer: Promise<void>): Promise<void> {
    const answered = answer.catch((error: unknown) => {
      this.#failure ??= { error };
    });
    this.#answers.add(answered);
    void answered.then(() => this.#answers.delete(answered));
    const taken = this.#places.take().then((place) => void answered.then(() => place.release()));
    await Promise.race([taken, answered]);
  }

  /** Waits for all of them, however they end. */
  async settle(): Promise<void> {
    await Promise.all(this.#answers);
  }

  /** Throws what the first one that failed threw. */
  throwFirst(): void {
    if (this.#failure) throw this.#failure.error;
  }
}
