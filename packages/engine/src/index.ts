export { byHand } from './by-hand.ts';
export { listBackups } from './catalog.ts';
export type { CatalogEntry, UnseenSink } from './catalog.ts';
export { findBackup } from './find-backup.ts';
export type { FindOptions, FoundBackup } from './find-backup.ts';
export { doctor } from './doctor.ts';
export type { Diagnosis, DoctorOptions } from './doctor.ts';
export type { JobProgress, RunEvent } from './events.ts';
export { hookedWork } from './hooks.ts';
export type { FailedHook, Hook, HookName, PipelineHooks } from './hooks.ts';
export type { Manifest, ManifestArtifact } from './manifest.ts';
export type { DamagedRecord } from './history.ts';
export type { Pin, Proved } from './note-store.ts';
export type { Note } from './notes.ts';
export { parseTime } from './parse-time.ts';
export { pinBackup, unpinBackup } from './pins.ts';
export { closePipeline } from './pipeline.ts';
export type { Check, Objectives, ScratchPlace } from './pipeline.ts';
export type { Limits, Pipeline, PipelineSink, PipelineSource, PipelineTransform } from './pipeline.ts';
export { planRun } from './plan-run.ts';
export type { RunPlan } from './plan-run.ts';
export { prune } from './prune.ts';
export type { PruneOptions } from './prune.ts';
export type { PrunedBackup, PrunedSink, PruneReport } from './prune-report.ts';
export type { PrunedWal } from './wal/wal-prune.ts';
export { prepareRestore } from './restore.ts';
export type { PreparedRestore, RestoreEvent, RestoreOptions, RestoreReport } from './restore.ts';
export { exitOfAll, planRestoreAll, restoreAll } from './restore-all.ts';
export type { RestoreAllEvent, RestoreAllOptions, RestoreAllPlan, RestoreAllReport } from './restore-all.ts';
export type { RestoredUnit } from './restore-one.ts';
export { backup, exitOf } from './run.ts';
export type { BackupOptions } from './run.ts';
export type { Failure, RunReport, RunUnit } from './run-records.ts';
export { isSafetyBackup } from './safety-label.ts';
export type { SafetyBackup } from './safety-backup.ts';
export type { Reason } from './retention/decide.ts';
export type { Keeping, LabelRule, Retention, Span } from './retention/policy.ts';
export type { Selection } from './select-units.ts';
export type { TrialPlace, TrialResult, TrySink } from './sink-trial.ts';
export type { RecoveryWish } from './wal/wal-archive.ts';
export { fetchWal } from './wal/wal-fetch.ts';
export { setUpWal } from './wal/wal-setup.ts';
export type { WalSetup, WalSetupOptions } from './wal/wal-setup.ts';
export { walStatus } from './wal/wal-status.ts';
export type {
  WalBehind,
  WalGap,
  WalSinkStatus,
  WalStatus,
  WalTimeline,
  WalWindow,
} from './wal/wal-status-report.ts';
export { pushWal } from './wal/wal-push.ts';
export type { WalPushOptions } from './wal/wal-push.ts';
export type { WalPushed } from './wal/wal-push-file.ts';
export { verify } from './verify.ts';
export type {
  MissingBackup,
  VerifiedBackup,
  VerifyEvent,
  VerifyLevel,
  VerifyOptions,
  VerifyReport,
} from './verify.ts';
export { copyBackups } from './copy.ts';
export type { CopiedBackup, CopyOptions, CopyReport } from './copy.ts';
export { noteErasure, planErasure, unitKeysOf } from './erasure.ts';
export type { ErasurePlan, LockedBackup } from './erasure.ts';
export { findHoldings } from './holdings.ts';
export type { Holding } from './holdings.ts';
export { drill } from './drill.ts';
export type { DrilledUnit, DrillOptions, DrillReport, KeptObjective } from './drill.ts';
