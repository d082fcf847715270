import { randomBytes } from 'node:crypto';
import type { BlockBlobClient } from '@azure/storage-blob';
import { isPgsiloError, PgsiloError, takeIn, throwIfAborted } from '@pgsilo/plugin';
import type { Body, Context, StoredObject } from '@pgsilo/plugin';
import { capacityOf, mostBlocks } from './block-plan.ts';
import type { BlockPlan } from './block-plan.ts';
import { createOnce, markOf } from './create-once.ts';
import { cut } from './cut.ts';
import { attempt } from './errors.ts';

/**
 * Stores a body as a new blob. What fits into one block is one request; the rest is staged block by block and becomes an object by one last request, so that nobody sees less.
 * Blocks that were staged for nothing are seen by nobody, and the service drops them after a week.
 */
export async function upload(
  blob: BlockBlobClient,
  key: string,
  body: Body,
  plan: BlockPlan,
  context: Context,
): Promise<StoredObject> {
  const stop = new AbortController();
  const signal = AbortSignal.any([context.signal, stop.signal]);
  const taken = takeIn(body, signal);
  const staging = new Staging(blob, key, plan, signal, stop);
  const doing = `store ${key}`;
  const conditions = { ifNoneMatch: '*' };
  const metadata = markOf(staging.writer);
  const blocks = cut(taken.body, plan.sizeOf);
  try {
    let first = await nextOf(blocks);
    let second = first?.length === plan.sizeOf(0) ? await nextOf(blocks) : undefined;
    if (second === undefined) {
      const content = first ?? Buffer.alloc(0);
      const small = createOnce(blob, staging.writer, doing, context, (abortSignal) =>
        blob.upload(content, content.length, { abortSignal, conditions, metadata }),
      );
      const answer = await small.catch((error: unknown) => unlessOnlyStaged(error, blob, doing, context));
      if (answer) return stored(taken.bytes, answer.versionId);
    }
    if (first) await staging.send(first);
    if (second) await staging.send(second);
    // Else they would be held to the end.
    first = second = undefined;
    for await (const block of blocks) await staging.send(block);
    const ids = await staging.finish();
    const { versionId } = await createOnce(blob, staging.writer, doing, context, (abortSignal) =>
      blob.commitBlockList(ids, { abortSignal, conditions, metadata }),
    );
    return stored(taken.bytes, versionId);
  } catch (error) {
    stop.abort(error);
    await staging.settle();
    await blocks.return(undefined);
    taken.rethrow();
    throw error;
  }
}

async function nextOf(blocks: AsyncGenerator<Buffer>): Promise<Buffer | undefined> {
  const { value, done } = await blocks.next();
  return done ? undefined : value;
}

/** Azurite takes blocks that somebody staged for nothing for an object, where one request is to make it; of a list of blocks it knows better. */
async function unlessOnlyStaged(
  error: unknown,
  blob: BlockBlobClient,
  doing: string,
  context: Context,
): Promise<undefined> {
  if (!(isPgsiloError(error) && error.code === 'sink.exists')) throw error;
  if (await attempt(doing, context, () => blob.exists({ abortSignal: context.signal }))) throw error;
}

function stored(bytes: number, version: string | undefined): StoredObject {
  return version === undefined ? { bytes } : { bytes, version };
}

/** Blocks on their way. When one fails, `stop` ends the others, and the body even while it stalls. */
class Staging {
  /** Writers of one key share its staged blocks: the ids keep them apart. */
  readonly writer: string = randomBytes(12).toString('hex');
  readonly #blob: BlockBlobClient;
  readonly #key: string;
  readonly #plan: BlockPlan;
  readonly #signal: AbortSignal;
  readonly #stop: AbortController;
  readonly #sending = new Set<Promise<void>>();
  readonly #ids: string[] = [];
  #held = 0;

  constructor(
    blob: BlockBlobClient,
    key: string,
    plan: BlockPlan,
    signal: AbortSignal,
    stop: AbortController,
  ) {
    this.#blob = blob;
    this.#key = key;
    this.#plan = plan;
    this.#signal = signal;
    this.#stop = stop;
  }

  /** Resolves when there is room for the next block. */
  async send(block: Buffer): Promise<void> {
    const index = this.#ids.length;
    if (index === mostBlocks) throw tooLarge(this.#key, this.#plan);
    // All ids of a blob must be of one length.
    const id = Buffer.from(`${this.writer}-${String(index).padStart(6, '0')}`).toString('base64');
    this.#ids.push(id);
    this.#held += block.length;
    const sent = this.#stage(id, block).then(
      () => {
        this.#held -= block.length;
        this.#sending.delete(sent);
      },
      (error: unknown) => this.#stop.abort(error),
    );
    this.#sending.add(sent);
    const next = this.#plan.sizeOf(index + 1);
    while (this.#held + next > this.#plan.memory || this.#sending.size >= this.#plan.inFlight) {
      throwIfAborted(this.#signal);
      await Promise.race(this.#sending);
    }
  }

  async #stage(id: string, block: Buffer): Promise<void> {
    const abortSignal = this.#signal;
    await attempt(`store ${this.#key}`, { signal: abortSignal }, () =>
      this.#blob.stageBlock(id, block, block.length, { abortSignal }),
    );
  }

  /** The ids of all blocks, once they have arrived. */
  async finish(): Promise<string[]> {
    await this.settle();
    throwIfAborted(this.#signal);
    return this.#ids;
  }

  /** Never rejects. */
  async settle(): Promise<void> {
    await Promise.all(this.#sending);
  }
}

function tooLarge(key: string, plan: BlockPlan): PgsiloError {
  const gibibytes = Math.floor(capacityOf(plan) / 2 ** 30);
  return new PgsiloError(
    'sink.too-large',
    `cannot store ${key}: it is larger than ${gibibytes} GiB, which is ${mostBlocks} blocks`,
    {
      hint: 'Raise `limits.memory`, and `blockSize` of the sink: a block may be as large as half of what one upload may hold in memory.',
    },
  );
}
