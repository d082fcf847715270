import { randomBytes } from 'node:crypto';
import type { Context, ObjectInfo, Sink, SinkTraits } from '@pgsilo/plugin';
import { declareCheck, undoing } from './check.ts';
import type { Check, CheckAbout, Waivable } from './check.ts';

/** A sink to be checked. */
export interface SinkSubject extends Waivable {
  readonly sink: Sink;
  readonly traits: SinkTraits;
  /** All keys of the checks begin with it; empty or ending in `/`. */
  readonly prefix?: string;
  /** The store holds more than what the checks put there, and others write to it: nothing outside the prefix is listed. */
  readonly shared?: boolean;
  /** Values that must never be seen; they stand in the options that the sink was made from. Empty: there are none in them. */
  readonly secrets?: readonly string[];
  /** How many keys the store gives at a time; a listing of a few more is checked. 1,000 unless told. */
  readonly keysPerPage?: number;
  /**
   * Size of an object that takes several requests, in bytes; 17 MiB unless told: several parts wherever 5 MiB are the least.
   * Many checks send it more than once.
   */
  readonly largeBytes?: number;
  /** Frees what the factory made, after the sink was closed. */
  dispose?(): Promise<void>;
}

/** Makes a sink anew for each check; the store beneath may be the same. */
export type SinkFactory = () => Promise<SinkSubject>;
export type SinkCheck = Check<SinkFactory>;

/** A subject within one check, which has a prefix of its own. */
export interface SinkUnderCheck extends SinkSubject {
  readonly prefix: string;
  readonly context: Context;
}

/** A body of `largeBytes` that takes longer to a store is not tried with it; milliseconds. */
export const uploadDeadline = 60_000;

/** One of the sizes that a promise of `put` is tried with. */
export interface PutTrial {
  readonly key: string;
  readonly bytes: number;
  readonly context: Context;
}

/** One request is a way of its own through many stores, and so are many parts: what holds of one says nothing of the other. */
export function putTrials(subject: SinkUnderCheck): readonly PutTrial[] {
  const { prefix, context } = subject;
  const large = largeBytesOf(subject);
  return [
    { key: `${prefix}small`, bytes: 20_000, context },
    { key: `${prefix}large`, bytes: large, context: scarce(context, large) },
  ];
}

export function largeBytesOf({ largeBytes = 17 * 1024 * 1024 }: SinkSubject): number {
  return largeBytes;
}

/**
 * So little memory that of a body of so many bytes, once half of it was taken, a quarter must have reached the store: in parts, if the sink sends parts.
 * No other way of waiting for them works with every store.
 */
function scarce(context: Context, bytes: number): Context {
  const memory = Math.min(context.memory, Math.ceil(bytes / 4));
  return { ...context, memory, scratch: (wanted) => context.scratch(wanted) };
}

/** Declares a check whose objects and sink are cleared away afterwards, however it ends. */
export function sinkCheck(
  about: CheckAbout,
  tryOut: (subject: SinkUnderCheck) => Promise<string | void>,
): SinkCheck {
  return declareCheck(
    about,
    (subject: SinkSubject, context) => ({
      ...subject,
      prefix: `${subject.prefix ?? ''}check-${randomBytes(6).toString('hex')}/`,
      context,
    }),
    tryOut,
    async ({ sink, prefix, context, dispose }) => {
      // Whether removing and closing work is what other checks say.
      const own = undoing(context);
      await quietly(async () => {
        // A sink that lists more than it is asked for must not lose a user's backups by it.
        const keys = (await keysUnder(sink, prefix, own)).filter((key) => key.startsWith(prefix));
        await sink.remove(keys, own);
      });
      await quietly(async () => sink.close());
      await quietly(async () => dispose?.());
    },
  );
}

export async function listAll(sink: Sink, prefix: string, context: Context): Promise<ObjectInfo[]> {
  const found: ObjectInfo[] = [];
  for await (const object of sink.list(prefix, context)) found.push(object);
  return found;
}

export async function keysUnder(sink: Sink, prefix: string, context: Context): Promise<string[]> {
  return (await listAll(sink, prefix, context)).map((object) => object.key).sort();
}

async function quietly(call: () => Promise<unknown>): Promise<void> {
  try {
    await call();
  } catch {
    // Not what this check is about.
  }
}
