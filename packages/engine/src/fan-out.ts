import type { Body } from '@pgsilo/plugin';

/** One reader's place in a fan-out. */
class Branch {
  #queue: Uint8Array[] = [];
  #queued = 0;
  #end: { readonly error?: unknown } | undefined;
  #closed = false;
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;

  get closed(): boolean {
    return this.#closed;
  }

  /** Resolves when the branch has room again, or nobody reads it any more. */
  async push(chunk: Uint8Array, room: number): Promise<void> {
    if (this.#closed) return;
    this.#queue.push(chunk);
    this.#queued += chunk.byteLength;
    this.#wakeReader?.();
    while (this.#queued > room && !this.#closed) {
      await new Promise<void>((resolve) => {
        this.#wakeWriter = resolve;
      });
    }
  }

  end(end: { readonly error?: unknown }): void {
    this.#end = end;
    this.#wakeReader?.();
  }

  close(): void {
    this.#closed = true;
    this.#queue = [];
    this.#wakeWriter?.();
    this.#wakeReader?.();
  }

  async *read(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      while (!this.#closed) {
        const chunk = this.#queue.shift();
        if (chunk) {
          this.#queued -= chunk.byteLength;
          this.#wakeWriter?.();
          yield chunk;
        } else if (this.#end) {
          if ('error' in this.#end) throw this.#end.error;
          return;
        } else {
          await new Promise<void>((resolve) => {
            this.#wakeReader = resolve;
          });
        }
      }
    } finally {
      this.close();
    }
  }
}

/** Copies of one body for several readers. */
export interface FanOut {
  readonly branches: readonly FanOutBranch[];
  /** Reads the body to its end, at the speed of the slowest reader that is left. Throws what the body throws; stops the body when no reader is left. */
  pump(): Promise<void>;
}

export interface FanOutBranch {
  readonly body: Body;
  /** Leaves the fan-out: the others go on. Needed for a reader that fails before it has read anything. */
  leave(): void;
}

/**
 * @param room bytes that one reader may be behind the fastest before all wait for it.
 */
export function fanOut(body: Body, readers: number, room: number): FanOut {
  const branches = Array.from({ length: readers }, () => new Branch());
  return {
    branches: branches.map((branch) => ({
      body: { [Symbol.asyncIterator]: () => branch.read() },
      leave: () => branch.close(),
    })),
    async pump() {
      try {
        for await (const chunk of body) {
          await Promise.all(branches.map((branch) => branch.push(chunk, room)));
          if (branches.every((branch) => branch.closed)) return;
        }
        for (const branch of branches) branch.end({});
      } catch (error) {
        for (const branch of branches) branch.end({ error });
        throw error;
      }
    },
  };
}
