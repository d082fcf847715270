export {
  childConnection,
  describeServer,
  parseConnection,
  passwordOf,
  withAddress,
  withDatabase,
} from './connection.ts';
export type { ChildConnection, FarServer, ServerAddress, ServerSettings } from './connection.ts';
export { sqlState, translatePostgresError } from './postgres-error.ts';
export {
  conninfo,
  fitIdentifier,
  longestIdentifier,
  quoteIdentifier,
  quoteLiteral,
  showName,
} from './quoting.ts';
export { openReplication } from './replication.ts';
export type { OnResultRow, ReplicationOptions, ReplicationSession } from './replication.ts';
export { openSession, terminateSessions } from './session.ts';
export type { Session, SessionOptions } from './session.ts';
export {
  archiveLargeObjects,
  archiveRows,
  archiveSubset,
  beginArchive,
  EntryOwners,
  isData,
  largeObjectsOf,
  majorVersion,
  observeArchive,
  provedByTool,
  readArchive,
  readsVersion,
  readToc,
  sequenceValue,
  splitArchive,
  textDecoder,
  TocParser,
  useList,
  versionsRead,
} from './archive/index.ts';
export type {
  ArchiveCompression, ArchiveContents, ArchiveHeader, ArchivePart, ArchiveRows, DataCount, LargeObjectPiece, ObservedArchive, ReadArchiveOptions, Section, SequenceValue, SplitOptions,
  Toc, TocEntry, TocParserOptions,
} from './archive/index.ts'; // prettier-ignore
export { describeFingerprint, fingerprintSchema } from './fingerprint.ts';
export type { Fingerprint, FingerprintKind, SequenceFingerprint, TableFingerprint } from './fingerprint.ts';
export { takeSchemasFingerprint } from './fingerprint-schemas.ts';
export { prepareFingerprints, type TakeFingerprint } from './fingerprint-take.ts';
export { compareFingerprint, compareFingerprintWithin } from './fingerprint-compare.ts';
export { copyIn, copyOut, runBytes } from './raw-query.ts';
export type { RowsTable } from './restore/rows.ts';
export {
  refuseAbsentTables,
  refuseFilledTables,
  refuseOthersWithRows,
  rowsRestoration,
} from './restore/rows-restore.ts';
export type { RowsRestore, ScratchCopy } from './restore/rows-restore.ts';
export { transactionOutcome } from './restore/transaction-outcome.ts';
export { splitTableName } from './table-name.ts';
export type { NamePart } from './table-name.ts';
export { fingerprintOfEntries, fingerprintWithout } from './restore/fingerprint-of-entries.ts';
export { selectTables, type TableSelection } from './restore/select-tables.ts';
export { isTable, parseTableName, showTable } from './restore/table-names.ts';
export type { TableName } from './restore/table-names.ts';
export { archiveScript } from './restore/archive-script.ts';
export type { ArchiveScript, ArchiveScriptJob } from './restore/archive-script.ts';
export { databaseSettingsSchema, readDatabaseSettings } from './database-settings.ts';
export type { DatabaseGrant, DatabaseSettings, ParameterSetting } from './database-settings.ts';
export {
  applySettingsStatements,
  createDatabaseStatement,
  localeProblem,
  setParameter,
  templateHasRules,
} from './database-statements.ts';
export type {
  ApplyOptions,
  CreateDatabaseOptions,
  DatabaseLocale,
  SettingStatement,
} from './database-statements.ts';
export { produce, runTool } from './child.ts';
export type { ChildOptions, ProducedBody } from './child.ts';
export { takeLock } from './lock.ts';
export { plural } from './plural.ts';
export { commandLine } from './program.ts';
export type { Program } from './program.ts';
export { findTool, saferVersion } from './tools.ts';
export type { ClientPrograms, Tool, ToolName } from './tools.ts';
export { Attempt, readInAttempt } from './attempt.ts';
export { failed } from './check-result.ts';
export { checkServer, checkWithSession, describeTool } from './check-server.ts';
export { databaseSizes, listDatabases, problemOf } from './databases.ts';
export type { Database } from './databases.ts';
export { anyGlob } from './glob.ts';
export { clusterClosingLine, readGlobalsFile, readGlobalStatements, rolesOf } from './globals/file.ts';
export type { GlobalStatement } from './globals/file.ts';
export { planGlobals } from './globals/plan.ts';
export { clusterConnection, globalsUnit, isGlobals, mayReadPasswords, readGlobals } from './globals/read.ts';
export { checkPasswords, globalStatements, inspectGlobals, prepareGlobalsUnit } from './globals/unit.ts';
export type { GlobalsPlan } from './globals/plan.ts';
export { describeGlobals, prepareGlobalsRestore, refuseForGlobals, runGlobals } from './globals/restore.ts';
export { listed, throwProblems } from './restore/problems.ts';
export type { Problem } from './restore/problems.ts';
export { beyondReach, renameDatabases } from './restore/rename.ts';
export type { Renaming } from './restore/rename.ts';
export {
  isOfDatabase, isRestrictive, missingRoles, ownerOf, rolesNamed, rolesNeeded, rolesOfGrants, showRoles,
} from './restore/roles.ts'; // prettier-ignore
export { readRestorer } from './restore/restorer.ts';
export type { Restorer } from './restore/restorer.ts';
export {
  databaseExists,
  freeCopyName,
  freeKeptName,
  looksRestored,
  openAdmin,
  targetNames,
  targetServer,
} from './restore/target.ts';
export type { TargetNames } from './restore/target.ts';
export {
  claimWorkingName,
  dropDatabase,
  dropWorking,
  inWorking,
  isWorkingName,
  markWorking,
  sweepLeftovers,
  sweepServer,
} from './restore/working-database.ts';
export { joinSnapshot, lockTables, ownTables, requireUntouched, takeSnapshot } from './snapshot.ts';
export type { Snapshot } from './snapshot.ts';
export { connectionForPrograms, createSetup } from './source-setup.ts';
export type { ConnectionOptions, SourceSetup } from './source-setup.ts';
export { hasWords, isWord, nameOf, placesOf, splitStatements, statements, tokens } from './sql-tokens.ts';
export type { Token } from './sql-tokens.ts';
export { invalidPlan, readRegistry, refuseBadNames } from './registry.ts';
export type { Listed, PlaceKind, Registry } from './registry.ts';
export { refuseStandstill } from './standstill.ts';
export { compareContents } from './fingerprint-archive.ts';
export { artifactOf, findArtifact, readBytes, readFingerprint, readSettings } from './artifacts.ts';
export { applySettings } from './restore/apply-settings.ts';
export { downgradeProblem, refuseDowngrade } from './restore/downgrade.ts';
export { createClosed } from './restore/create-closed.ts';
export { requireEqual } from './restore/require-equal.ts';
export { asRestoreError, undo, undoneError } from './restore/undo.ts';
export type { UnfinishedRestore } from './restore/undo.ts';
export { findPgRestore, jobsOf, runPgRestore } from './restore/pg-restore.ts';
export type { PgRestoreJob } from './restore/pg-restore.ts';
export { failsAtFirst } from './restore/pg-restore-errors.ts';
export { readAccessProblem } from './read-access.ts';
export { openScratchServer } from './scratch/open.ts';
export type { ProofKind } from './scratch/open.ts';
export { isServerReady, runServer, serverEnvironment, serverSuperuser } from './scratch/run-server.ts';
export { findServerPrograms } from './scratch/server-programs.ts';
export type { DataPlace, RunningServer, ServerMaking, ServerPlace } from './scratch/run-server.ts';
export { compareSchemas } from './scratch/schema-compare.ts';
