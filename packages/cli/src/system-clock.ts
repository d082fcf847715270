import { setTimeout as delay } from 'node:timers/promises';
import { abortReason } from '@pgsilo/plugin';
import type { Clock } from '@pgsilo/plugin';

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => new Date(),
  async sleep(milliseconds, signal) {
    try {
      await delay(milliseconds, undefined, signal ? { signal } : {});
    } catch (error) {
      throw signal?.aborted ? abortReason(signal) : error;
    }
  },
};
