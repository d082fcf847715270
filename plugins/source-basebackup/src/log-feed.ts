import { chown, lchown, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { throwIfAborted, toPgsiloError, type PgsiloError, type RecoveryTarget } from '@pgsilo/plugin';
import { segmentAfter } from './wal-range.ts';

/** Segments that are fetched before they are asked for. */
const ahead = 4;
const pollEvery = 20;
const lastPatience = 5000;

/** Half a minute of waiting, at least. */
const roundsOfTrust = 1500;
/** It is made anew within this time, in milliseconds, while somebody listens. */
const signOfLife = 1000;

/**
 * The server's `restore_command`, which runs in its data directory, as a user who can read neither the pipeline file nor the sinks: it writes down what it wants, and waits until it is there.
 * PostgreSQL takes the exit status 1 for "never archived", and stops at 126. Pgsilo may be killed: the command takes the sign of life away from time to time, and gives up where it does not come back.
 * @param folder relative to the data directory, of letters that mean nothing to a shell.
 */
export const feedCommand = (folder: string, rounds: number = roundsOfTrust): string =>
  `d=${folder}; n=0; : > "$d/want/%f" || exit 126; ` +
  'while [ -d "$d/have" ]; do ' +
  'if [ -e "$d/have/%f" ]; then mv "$d/have/%f" "%p" && exit 0; exit 126; fi; ' +
  'if [ -e "$d/have/%f.none" ]; then rm -f "$d/have/%f.none"; exit 1; fi; ' +
  'if [ -e "$d/have/failed" ]; then exit 126; fi; ' +
  `n=$((n + 1)); if [ $n -ge ${rounds} ]; then n=0; [ -e "$d/have/alive" ] || exit 126; rm -f "$d/have/alive"; fi; ` +
  'sleep 0.02; done; exit 126';

/** Brings write-ahead log to a server that recovers, as it asks for it and some of it before. */
export class LogFeed {
  readonly #folder: string;
  readonly #fetch: RecoveryTarget['fetch'];
  readonly #segmentBytes: number;
  readonly #owner: { readonly uid: number; readonly gid: number } | undefined;
  readonly #signal: AbortSignal;
  /** Whether a file is there, by its name; a rejection is kept until somebody wants it. */
  readonly #coming = new Map<string, Promise<boolean>>();
  /** Asked for and not yet answered. */
  readonly #answering = new Set<string>();
  #ended = false;
  #running: Promise<void> = Promise.resolve();
  /** Why a file did not come. */
  failure: PgsiloError | undefined;
  /** Names of files that were brought. */
  readonly #brought = new Set<string>();

  /** @param folder one of the server's user, beside that of the cluster. */
  constructor(
    folder: string,
    { fetch }: Pick<RecoveryTarget, 'fetch'>,
    given: {
      readonly segmentBytes: number;
      readonly owner: { readonly uid: number; readonly gid: number } | undefined;
      readonly signal: AbortSignal;
    },
  ) {
    this.#folder = folder;
    this.#fetch = fetch;
    this.#segmentBytes = given.segmentBytes;
    this.#owner = given.owner;
    this.#signal = given.signal;
  }

  /** Files that were brought, each counted once. */
  get files(): number {
    return this.#brought.size;
  }

  async start(): Promise<void> {
    for (const name of ['want', 'have', 'coming']) {
      await mkdir(join(this.#folder, name), { mode: 0o700 });
      if (this.#owner) await chown(join(this.#folder, name), this.#owner.uid, this.#owner.gid);
    }
    this.#running = this.#listen();
  }

  /** Ends it; what is on its way ends first, where it does within a few seconds. */
  async stop(): Promise<void> {
    this.#ended = true;
    await this.#running;
    const patience = new AbortController();
    await Promise.race([
      Promise.allSettled(this.#coming.values()),
      sleep(lastPatience, undefined, { signal: patience.signal }).catch(() => undefined),
    ]);
    patience.abort();
  }

  async #listen(): Promise<void> {
    let alive = 0;
    while (!this.#ended && !this.#signal.aborted) {
      if (Date.now() - alive > signOfLife) {
        alive = Date.now();
        await writeFile(join(this.#folder, 'have', 'alive'), '', { mode: 0o644 }).catch(() => undefined);
      }
      for (const name of await readdir(join(this.#folder, 'want')).catch(() => [])) {
        if (this.#answering.has(name)) continue;
        this.#answering.add(name);
        void this.#answer(name);
      }
      await sleep(pollEvery);
    }
  }

  async #answer(name: string): Promise<void> {
    try {
      for (let next: string | undefined = name, left = ahead; next !== undefined && left >= 0; left -= 1) {
        void this.#bring(next).catch(() => undefined);
        next = segmentAfter(next, this.#segmentBytes);
      }
      let there = await this.#bring(name);
      this.#coming.delete(name);
      // It may have been archived since somebody looked ahead.
      if (!there) there = await this.#bring(name).finally(() => this.#coming.delete(name));
      await rm(join(this.#folder, 'want', name), { force: true });
      this.#answering.delete(name);
      if (there) {
        this.#brought.add(name);
        await rename(join(this.#folder, 'coming', name), join(this.#folder, 'have', name));
      } else await writeFile(join(this.#folder, 'have', `${name}.none`), '', { mode: 0o644 });
    } catch (error) {
      this.failure ??= toPgsiloError(error, 'sink.failed');
      await writeFile(join(this.#folder, 'have', 'failed'), '', { mode: 0o644 }).catch(() => undefined);
    }
  }

  #bring(name: string): Promise<boolean> {
    const known = this.#coming.get(name);
    if (known) return known;
    const coming = (async () => {
      throwIfAborted(this.#signal);
      const path = join(this.#folder, 'coming', name);
      const there = await this.#fetch(name, path);
      // What was brought is in a folder of the server's user by then.
      if (there && this.#owner) await lchown(path, this.#owner.uid, this.#owner.gid);
      return there;
    })();
    this.#coming.set(name, coming);
    coming.catch(() => undefined);
    return coming;
  }
}
