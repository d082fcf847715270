import { randomBytes } from 'node:crypto';
import type { Context, Job, Plan, ReadContext, Source, SourceTraits } from '@pgsilo/plugin';
import { broken, declareCheck, within } from './check.ts';
import type { Check, CheckAbout, Waivable } from './check.ts';

/** A source to be checked, and the hands that the suite needs in the server behind it. */
export interface SourceSubject extends Waivable {
  readonly source: Source;
  readonly traits: SourceTraits;
  /**
   * Name of a unit that the source finds. It holds several megabytes in one artifact, so that its producer can be caught in the middle, and nobody else
   * touches it: make a tenant for each check.
   */
  readonly unit: string;
  /** Values that must never be seen; they stand in the options that the source was made from. */
  readonly secrets?: readonly string[];
  /** How long it may take until what was stopped has ended, in milliseconds; 10,000 unless told. */
  readonly endsWithin?: number;
  /** A source of the same options where no server answers. */
  unreachable(): Promise<Source>;
  /**
   * Kills what makes the body that is being read, as the kernel or an operator would: the client program with SIGKILL, or the server session.
   * @param label that of the read's context.
   */
  killProducer(label: string): Promise<void>;
  /** What the source has running: children and server sessions, one line each. */
  running(): Promise<readonly string[]>;
  /** Names of all that a restore could make or replace: databases, schemas. */
  targets(): Promise<readonly string[]>;
  /** All that a target holds, or a hash of it, in an order that does not change. Undefined: the unit as it is live. */
  contentOf(target?: string): Promise<string>;
  /** Changes what the unit holds, as an accident would: deletes rows. */
  change(): Promise<void>;
  /** Frees what the factory made and removes what was restored, after the source was closed. */
  dispose?(): Promise<void>;
}

/** Makes a source and a tenant anew for each check; the server beneath may be the same. */
export type SourceFactory = () => Promise<SourceSubject>;
export type SourceCheck = Check<SourceFactory>;

export interface SourceUnderCheck extends SourceSubject {
  readonly context: Context;
}

/** A call that takes longer to end after it was told to is not prompt; milliseconds. */
export const prompt = 10_000;

/** Declares a check whose source is closed afterwards, however it ends. */
export function sourceCheck(
  about: CheckAbout,
  tryOut: (subject: SourceUnderCheck) => Promise<string | void>,
): SourceCheck {
  return declareCheck(
    about,
    (subject: SourceSubject, context) => ({ ...subject, context }),
    tryOut,
    async ({ source, dispose }) => {
      // Whether closing works is what another check says.
      await within(prompt, 'closing the source', source.close()).catch(() => {});
      await dispose?.();
    },
  );
}

const noHistory = { lastBytes: (): undefined => undefined };

export function planOf(source: Source, context: Context): Promise<Plan> {
  return source.plan(noHistory, context);
}

/** The job that holds the subject's unit, cut down to it where it holds others. */
export async function jobOf({ source, unit, context }: SourceUnderCheck): Promise<Job> {
  const plan = await planOf(source, context);
  const job = plan.jobs.find(({ units }) => units.some(({ name }) => name === unit));
  if (job === undefined) return broken(`the plan has no unit ${JSON.stringify(unit)}`);
  return { ...job, units: job.units.filter(({ name }) => name === unit) };
}

export function readContext(context: Context): ReadContext {
  return {
    ...context,
    label: `check-${randomBytes(6).toString('hex')}`,
    scratch: (bytes) => context.scratch(bytes),
  };
}

/** Nothing of the source's may run any more; what the server takes a moment to end is waited for. */
export async function mustHaveEnded(subject: SourceUnderCheck, after: string): Promise<void> {
  const deadline = Date.now() + (subject.endsWithin ?? prompt);
  let left: readonly string[] = [];
  do {
    left = await subject.running();
    if (left.length === 0) return;
    await subject.context.clock.sleep(50);
  } while (Date.now() < deadline);
  broken(`${after} there still ran: ${left.join('; ')}`);
}
