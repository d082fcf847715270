import { PgsiloError, errorCodes } from '@pgsilo/plugin';
import type { ErrorCode } from '@pgsilo/plugin';
import { z } from 'zod';
import type { FailedHook } from './hooks.ts';
import { openDocument, sealDocument } from './checksum.ts';

/** Written before anything else of a run: what lies in the sink without a manifest, and belongs to it, may still be growing. */
export interface RunBegin {
  readonly run: string;
  readonly pipeline: string;
  /** ISO 8601, UTC, like all times here. */
  readonly startedAt: string;
  /** Who runs it: for people, and as `process-identity` writes it. */
  readonly process: { readonly host: string; readonly pid: number; readonly identity: string };
  readonly units: readonly string[];
}

/** An error as data. */
export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string;
}

/** What became of one unit. */
export interface RunUnit {
  readonly unit: string;
  /** Absent when nothing was committed. */
  readonly backup?: string;
  readonly status: 'good' | 'damaged' | 'failed';
  readonly attempts: number;
  /** Before and after transforms. */
  readonly bytes: number;
  readonly storedBytes: number;
  readonly seconds: number;
  readonly error?: Failure;
  readonly sinks: readonly {
    readonly sink: string;
    /** `not-due`: it takes one for each period, and has one. */
    readonly status: 'stored' | 'failed' | 'skipped' | 'not-due';
    readonly error?: Failure;
  }[];
}

/** What became of a run: one line for each unit and sink. */
export interface RunReport {
  readonly run: string;
  readonly pipeline: string;
  readonly startedAt: string;
  readonly finishedAt: string;
  /** `killed` is written by a later run that found this one without an end. */
  readonly status: 'ok' | 'partial' | 'failed' | 'aborted' | 'killed';
  /** True when the run was cut to some units. */
  readonly selected: boolean;
  /** Single calls of sinks, and requests within them, that were repeated because a store was busy or dropped them. */
  readonly retries: number;
  readonly units: readonly RunUnit[];
  readonly warnings: readonly string[];
  /** Hooks after the run that failed. Not in the record that lies in the sinks, which is written before them. */
  readonly failedHooks?: readonly FailedHook[];
  readonly error?: Failure;
}

const format = z.literal(1);

const beginSchema: z.ZodType<RunBegin & { readonly format: 1 }> = z.object({
  format,
  run: z.string(),
  pipeline: z.string(),
  startedAt: z.iso.datetime(),
  process: z.object({ host: z.string(), pid: z.number(), identity: z.string() }),
  units: z.array(z.string()),
});

const failure: z.ZodType<Failure> = z.object({
  code: z.enum(Object.keys(errorCodes) as [ErrorCode, ...ErrorCode[]]),
  message: z.string(),
  hint: z.string().exactOptional(),
});

const unitSchema: z.ZodType<RunUnit> = z.object({
  unit: z.string(),
  backup: z.string().exactOptional(),
  status: z.enum(['good', 'damaged', 'failed']),
  attempts: z.number().int(),
  bytes: z.number(),
  storedBytes: z.number(),
  seconds: z.number(),
  error: failure.exactOptional(),
  sinks: z.array(
    z.object({
      sink: z.string(),
      status: z.enum(['stored', 'failed', 'skipped', 'not-due']),
      error: failure.exactOptional(),
    }),
  ),
});

const runSchema: z.ZodType<RunReport & { readonly format: 1 }> = z.object({
  format,
  run: z.string(),
  pipeline: z.string(),
  startedAt: z.iso.datetime(),
  finishedAt: z.iso.datetime(),
  status: z.enum(['ok', 'partial', 'failed', 'aborted', 'killed']),
  selected: z.boolean(),
  retries: z.number().int().default(0),
  units: z.array(unitSchema),
  warnings: z.array(z.string()),
  error: failure.exactOptional(),
});

export function writeRunBegin(begin: RunBegin): Uint8Array {
  return sealDocument({ format: 1, ...begin });
}

export function readRunBegin(bytes: Uint8Array, key: string): RunBegin {
  return parse(beginSchema, bytes, key);
}

export function writeRunReport(report: RunReport): Uint8Array {
  return sealDocument({ format: 1, ...report });
}

export function readRunReport(bytes: Uint8Array, key: string): RunReport {
  return parse(runSchema, bytes, key);
}

function parse<Schema extends z.ZodType>(schema: Schema, bytes: Uint8Array, key: string): z.output<Schema> {
  const parsed = schema.safeParse(openDocument(bytes, key));
  if (!parsed.success)
    throw new PgsiloError('catalog.corrupt', `${key} is not what a run writes`, { cause: parsed.error });
  return parsed.data;
}
