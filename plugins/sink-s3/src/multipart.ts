import { createReadStream } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type {
  CompletedPart,
  CompleteMultipartUploadCommandOutput,
  UploadPartCommandOutput,
} from '@aws-sdk/client-s3';
import { PgsiloError, throwIfAborted } from '@pgsilo/plugin';
import type { Part } from './cut-parts.ts';
import { attempt, brokeOff, statusOf, translate } from './errors.ts';
import { withGrace } from './late-abort.ts';
import type { settingsOf } from './object-settings.ts';
import { capacityOf } from './part-plan.ts';
import type { PartPlan } from './part-plan.ts';
import type { Store } from './store.ts';

/** Milliseconds that the beginning of an upload still has once the call is aborted. */
const grace = 1_500;
/** As often as the SDK tries what it can repeat by itself. */
const attempts = 3;

/** Parts on their way. When one fails, `stop` ends the others, and the body even while it stalls. */
export class Multipart {
  readonly #store: Store;
  readonly #key: string;
  readonly #plan: PartPlan;
  readonly #signal: AbortSignal;
  readonly #stop: AbortController;
  readonly #sending = new Set<Promise<void>>();
  readonly #parts: CompletedPart[] = [];
  #id: string | undefined;
  #held = 0;
  #spooled: Promise<void> | undefined;

  constructor(store: Store, key: string, plan: PartPlan, signal: AbortSignal, stop: AbortController) {
    this.#store = store;
    this.#key = key;
    this.#plan = plan;
    this.#signal = signal;
    this.#stop = stop;
  }

  get #doing(): string {
    return `store ${this.#key}`;
  }

  async begin(settings: ReturnType<typeof settingsOf>): Promise<void> {
    const command = new CreateMultipartUploadCommand({ ...this.#store.at(this.#key), ...settings });
    // An upload whose answer nobody heard could not be undone.
    await attempt(this.#doing, { signal: this.#signal }, () =>
      withGrace(this.#signal, grace, async (abortSignal) => {
        this.#id = (await this.#store.client.send(command, { abortSignal })).UploadId;
      }),
    );
    throwIfAborted(this.#signal);
  }

  /** Resolves when there is room for the next part. */
  async send(part: Part): Promise<void> {
    const number = this.#parts.length + 1;
    if (number > this.#plan.maxParts) throw tooLarge(this.#key, this.#plan);
    const spooled = 'file' in part;
    // Two files at a time: one is written while the other is sent.
    if (spooled) await this.#spooled;
    throwIfAborted(this.#signal);
    const completed: CompletedPart = { PartNumber: number };
    this.#parts.push(completed);
    const held = spooled ? 0 : part.size;
    this.#held += held;
    const sent = this.#upload(number, part).then(
      ({ ETag, ChecksumCRC32 }) => {
        Object.assign(completed, { ETag, ...(ChecksumCRC32 === undefined ? {} : { ChecksumCRC32 }) });
        this.#held -= held;
        this.#sending.delete(sent);
      },
      (error: unknown) => this.#stop.abort(error),
    );
    this.#sending.add(sent);
    if (spooled) this.#spooled = sent;
    const next = Math.min(this.#plan.sizeOf(number), this.#plan.largestHeld);
    while (
      this.#sending.size > 0 &&
      (this.#held + next > this.#plan.memory || this.#sending.size >= this.#plan.inFlight)
    ) {
      throwIfAborted(this.#signal);
      await Promise.race(this.#sending);
    }
  }

  async #upload(number: number, part: Part): Promise<UploadPartCommandOutput> {
    const input = { ...this.#store.at(this.#key), UploadId: this.#id, PartNumber: number };
    const checksum = this.#store.checksum ? { ChecksumAlgorithm: this.#store.checksum } : {};
    const signal = this.#signal;
    if (!('file' in part)) {
      const command = new UploadPartCommand({ ...input, ...checksum, Body: part.bytes });
      return attempt(this.#doing, { signal }, () =>
        this.#store.client.send(command, { abortSignal: signal }),
      );
    }
    const crc = Buffer.alloc(4);
    crc.writeUInt32BE(part.crc);
    const sum = this.#store.checksum ? { ...checksum, ChecksumCRC32: crc.toString('base64') } : {};
    try {
      for (let turn = 1; ; turn += 1) {
        throwIfAborted(signal);
        const stream = createReadStream(part.file, { highWaterMark: 1024 * 1024 });
        const command = new UploadPartCommand({ ...input, ...sum, Body: stream, ContentLength: part.size });
        try {
          return await this.#store.client.send(command, { abortSignal: signal });
        } catch (error) {
          throwIfAborted(signal);
          // The SDK repeats no stream, but this one can be had again.
          if (turn === attempts || !mayPass(error)) throw translate(error, this.#doing);
        } finally {
          stream.destroy();
        }
        await sleep(turn * 300, undefined, { signal }).catch(() => {});
      }
    } finally {
      await part.drop();
    }
  }

  /** All parts, once they have arrived. */
  async finish(): Promise<readonly CompletedPart[]> {
    await this.settle();
    throwIfAborted(this.#signal);
    return this.#parts;
  }

  complete(
    parts: readonly CompletedPart[],
    abortSignal: AbortSignal,
  ): Promise<CompleteMultipartUploadCommandOutput> {
    const command = new CompleteMultipartUploadCommand({
      ...this.#store.at(this.#key),
      UploadId: this.#id,
      MultipartUpload: { Parts: [...parts] },
      IfNoneMatch: '*',
    });
    return this.#store.client.send(command, { abortSignal });
  }

  /** Never rejects. */
  async settle(): Promise<void> {
    await Promise.all(this.#sending);
  }

  /** Ends what was begun, so that no part lies there unseen and is paid for; never rejects, and takes no longer than that. */
  async abandon(milliseconds: number): Promise<void> {
    if (this.#id === undefined) return;
    const command = new AbortMultipartUploadCommand({ ...this.#store.at(this.#key), UploadId: this.#id });
    // A failure is left to `sweep` and to the bucket's lifecycle rule.
    await this.#store.client
      .send(command, { abortSignal: AbortSignal.timeout(milliseconds) })
      .catch(() => {});
  }
}

function mayPass(error: unknown): boolean {
  const status = statusOf(error);
  return brokeOff(error) || status === 429 || (status !== undefined && status >= 500);
}

function tooLarge(key: string, plan: PartPlan): PgsiloError {
  const gibibytes = Math.floor(capacityOf(plan) / 2 ** 30);
  return new PgsiloError(
    'sink.too-large',
    `cannot store ${key}: it is larger than ${gibibytes} GiB, which is ${plan.maxParts} parts`,
    {
      hint: 'Raise `partSize` of the sink, and `limits.memory`: a part in memory is at most half of what one upload may hold.',
    },
  );
}
