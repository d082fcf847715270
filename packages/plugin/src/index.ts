export { attemptWith } from './attempt.ts';
export type { Attempt } from './attempt.ts';
export type { Body, CheckResult, Clock, Context, Json, JsonObject, Logger } from './context.ts';
export { encodeUnit } from './encode-unit.ts';
export { errorCodes } from './error-codes.ts';
export type { ErrorCode, ErrorRow } from './error-codes.ts';
export { abortReason, isPgsiloError, PgsiloError, throwIfAborted, toPgsiloError } from './errors.ts';
export type { ErrorExtras } from './errors.ts';
export {
  describeOptions,
  duration,
  optionsJsonSchema,
  parseDuration,
  parseSize,
  secret,
  size,
} from './options.ts';
export type { OptionAbout, OptionRow } from './options.ts';
export { definePlugin, isPlugin } from './plugin.ts';
export type {
  PluginDefinition,
  PluginKind,
  Setup,
  SinkDefinition,
  SourceDefinition,
  TransformDefinition,
} from './plugin.ts';
export type { CheckOutcome, Examination, ProofCheck, ScratchRequest, ScratchServer } from './proof.ts';
export { describePoint } from './recovery-goal.ts';
export type {
  LogArchive,
  LogFile,
  RecoveryGoal,
  RecoveryPoint,
  RecoveryTarget,
  TimelineChoice,
} from './recovery-goal.ts';
export type { FinishedUnit, JoinedRecovery, Recovery, RecoveryUnit, UnfinishedUnit } from './recovery.ts';
export type {
  Restoration,
  RecoveryEnd,
  RestoreOutcome,
  RestoreRequest,
  RowConflict,
  RowSelection,
  RowsRestored,
  StartedServer,
} from './restore.ts';
export { isSecret, redact, Secret } from './secret.ts';
export type {
  ByteRange,
  ObjectInfo,
  PutHint,
  RetainedObject,
  Sink,
  SinkTraits,
  StoredObject,
} from './sink.ts';
export type {
  ArtifactFormat,
  ArtifactView,
  BackupView,
  Comparison,
  CompareTarget,
  HeldLock,
  History,
  Inspection,
  Job,
  LockAttempt,
  LockedBy,
  MissingUnit,
  Part,
  Plan,
  ReadContext,
  Source,
  SourceArtifact,
  SourceFacts,
  SourceItem,
  RestorePart,
  SourceTraits,
  Unit,
  UnitFacts,
} from './source.ts';
export type {
  ArchiveCommand,
  ArchiverSetting,
  ArchiverSetup,
  ArchiverState,
  WalArchiver,
  WalFile,
  WalFiles,
  WalLeg,
  WalQueue,
  WalSegments,
} from './wal.ts';
export type { ArtifactIdentity, Encoded, Transform, TransformTraits } from './transform.ts';
export { takeIn } from './take-in.ts';
export type { Intake } from './take-in.ts';
export { tryOutSink } from './try-out-sink.ts';
export type {
  Destruction,
  DestructionOrder,
  KeyExport,
  Receipt,
  ReceiptFacts,
  UnitKey,
  UnitKeys,
} from './unit-keys.ts';
export { nothingDestroyed } from './unit-keys.ts';
export { untilAborted } from './until-aborted.ts';
