import type { Body, CheckResult, Context, JsonObject } from './context.ts';
import type { UnitKeys } from './unit-keys.ts';

/**
 * Changes bytes on their way to the sinks, and back: compression, encryption.
 *
 * Laws, each proved by the conformance suite: decode∘encode is the identity for every body, the empty one included; memory is bounded by `context.memory` whatever the length;
 * an error thrown by the incoming body passes through untouched; input that was altered or cut, at any place, makes `decode` throw `transform.corrupt` and never end early.
 */
export interface Transform {
  /** What is added to an artifact's key, with its dot: `.zst`. */
  readonly suffix: string;

  /**
   * Returns the changed body and the parameters that `decode` needs. The parameters stand in the manifest in the clear: nothing secret.
   * Called once for each artifact; several calls run at once.
   */
  encode(body: Body, about: ArtifactIdentity, context: Context): Promise<Encoded>;

  /**
   * The exact inverse of `encode` with the parameters that it returned.
   * Files of write-ahead log have no manifest and come with no parameters at all (`{}`): a transform that cannot decode without its own throws `transform.corrupt`, and is of no use for them.
   */
  decode(body: Body, parameters: JsonObject, context: Context): Body;

  /** The stock command that decodes standard input to standard output, for restoring by hand: `zstd -d`. */
  byHand(parameters: JsonObject): string;

  /** What `pgsilo doctor` should know: keys that are missing, expired or unusable. */
  check?(context: Context): AsyncIterable<CheckResult>;

  /** The keys of units, for `pgsilo keys`; only of a transform that is set up to give each unit its own. */
  unitKeys?(): Promise<UnitKeys>;

  /**
   * Folders of this machine with what undoes the transform, by absolute paths. None of them may lie where backups go: whoever has those would read them, and a lock
   * there would keep keys from being destroyed.
   */
  readonly keyFolders?: readonly string[];

  /** Frees what the transform holds. */
  close?(): Promise<void>;
}

export interface Encoded {
  readonly body: Body;
  readonly parameters: JsonObject;
}

/** Which artifact of which unit is being encoded. */
export interface ArtifactIdentity {
  readonly unit: string;
  readonly run: string;
  readonly artifact: string;
}

export interface TransformTraits {
  readonly purpose: 'compression' | 'encryption';
}
