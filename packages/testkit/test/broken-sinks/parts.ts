import { memorySink } from '../../src/index.ts';
import { fake, fakeLargeBytes, store } from './fake.ts';
import type { BrokenSink } from './fake.ts';
import { partsSink } from './parts-sink.ts';
import type { PartsFlaws } from './parts-sink.ts';

/** No check reads what follows in so long an object. */
const mostKept = 2 * fakeLargeBytes;

function flawed(fails: string, does: string, flaws: PartsFlaws): BrokenSink {
  return { fails, does, make: () => partsSink(memorySink(), flaws) };
}

/** Sound with objects of one request: what they break is broken only where bodies take several. */
export const partsFakes: readonly BrokenSink[] = [
  flawed('body of many parts', 'loses what of a chunk reaches into the next part', { losesOverlap: true }),
  flawed('second put is refused', 'overwrites with parts', { overwrites: true }),
  flawed('two writers, one winner', 'gives the parts of all writers the same names', { sharedIds: true }),
  flawed('invisible until whole', 'shows a first part', { shows: true }),
  flawed('body that throws', 'keeps the parts that came before the error', { keeps: 'at a throw' }),
  flawed('body that throws', 'cannot write over parts that were left, by one request', {
    blocks: 'one request',
  }),
  flawed('abort of a put', 'keeps the parts that came before an abort', { keeps: 'at an abort' }),
  flawed('abort of a put', 'cannot write over parts that were left, by others', { blocks: 'parts' }),
  flawed('sweep spares the living', 'sweeps parts of the living', { swept: true }),
  flawed('slow store', 'does not wait for parts on their way', { unbounded: true }),
  fake('slow store', 'gathers a body, however slowly it comes', (inner) => ({
    async put(key, body, hint, context) {
      const { bytes } = await inner.put(key, body, hint, context);
      // As if the store were elsewhere: nothing much stays in this process.
      if (bytes > mostKept)
        store(inner, key, Buffer.from(inner.objects.get(key)!.bytes.subarray(0, mostKept)));
      return { bytes };
    },
  })),
];
