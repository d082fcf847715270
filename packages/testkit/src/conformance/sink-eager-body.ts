import type { Body } from '@pgsilo/plugin';
import { randomBody } from '../bodies.ts';
import { broken } from './check.ts';
import { heldBytes } from './resources.ts';

const mebibyte = 1024 * 1024;

/** A body that is always faster than the store, and tells whether its reader waited for the store. */
export interface EagerBody {
  readonly body: Body;
  /** To be called after the put. Throws when more than `most` bytes were held by its end. */
  mustHaveWaited(): Promise<void>;
}

/**
 * No store of any kind can be stalled from here. But this body makes nobody wait, and a store takes nothing before the process turns to its files and connections:
 * whoever takes more than `most` bytes from one such turn to the next, and has them in memory, does not wait for the store. That is so however fast the store is.
 * Who gives the process its turns and yet does not wait is found by what is held at the body's end, unless the store is in this process too, as some tests have it.
 */
export async function eagerBody(bytes: number, most: number): Promise<EagerBody> {
  const before = await heldBytes();
  let atEnd = 0;
  let taken = 0;
  let turn: NodeJS.Immediate | undefined;

  async function* body(): Body {
    try {
      for await (const chunk of randomBody(bytes)) {
        turn ??= setImmediate(() => {
          turn = undefined;
          taken = 0;
        });
        taken += chunk.length;
        yield chunk;
        // Only now: measuring gives the store a turn.
        if (taken > most) mustBeWithin((await heldBytes()) - before);
      }
      atEnd = (await heldBytes()) - before;
    } finally {
      clearImmediate(turn);
    }
  }

  function mustBeWithin(held: number): void {
    if (held > most)
      broken(
        `put held ${mebibytes(held)} of a body of ${mebibytes(bytes)} before the store had taken them; it may hold ${mebibytes(most)}, among them what connections hold`,
      );
  }

  return {
    body: body(),
    async mustHaveWaited() {
      const left = (await heldBytes()) - before;
      if (left < most / 2) mustBeWithin(atEnd);
    },
  };
}

function mebibytes(bytes: number): string {
  return `${(bytes / mebibyte).toFixed(1)} MiB`;
}
