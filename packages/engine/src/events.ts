import type { Failure, RunUnit } from './run-records.ts';

/** What a backup tells whoever watches it. */
export type RunEvent =
  | { readonly type: 'waiting'; readonly holder: string; readonly since: Date | undefined }
  | {
      readonly type: 'planned';
      readonly run: string;
      readonly jobs: number;
      /** Those that are missing included. */
      readonly units: number;
      /** Units that have failed already, because they should be there and are not. */
      readonly missing: readonly RunUnit[];
      /** Sum of the jobs' estimates, as far as they are known. */
      readonly estimatedBytes: number;
      readonly warnings: readonly string[];
    }
  | { readonly type: 'job-started'; readonly job: JobProgress; readonly attempt: number }
  | { readonly type: 'job-finished'; readonly job: JobProgress; readonly units: readonly RunUnit[] }
  | {
      readonly type: 'job-retry';
      readonly job: JobProgress;
      readonly attempt: number;
      readonly error: Failure;
      readonly delay: number;
    }
  | {
      readonly type: 'sink-dropped';
      readonly sink: string;
      readonly error: Failure;
      readonly forRun: boolean;
      readonly unit?: string;
    };

/** A job as it runs; `bytes` moves. */
export interface JobProgress {
  readonly id: string;
  readonly units: readonly string[];
  readonly estimatedBytes: number | undefined;
  /** Bytes read from the source in the current attempt, before transforms. */
  bytes: number;
  readonly startedAt: Date;
}
