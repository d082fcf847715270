import { memorySink, memorySinkTraits } from '../src/index.ts';
import { describeSink } from '../src/vitest.ts';

describeSink('memory', async () => ({ sink: memorySink(), traits: memorySinkTraits }));
