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
export { openSession, terminateSessions } from './session.ts';
export type { Session, SessionOptions } from './session.ts';
export {
  archiveSubset,
  isData,
  largeObjectsOf,
  majorVersion,
  observeToc,
  readArchive,
  readToc,
  sequenceValue,
  textDecoder,
  TocParser,
  useList,
} from './archive/index.ts';
export type {
  ArchiveCompression, ArchiveContents, ArchiveHeader, DataCount, ObservedArchive, ReadArchiveOptions, Section, SequenceValue, Toc, TocEntry,
  TocParserOptions,
} from './archive/index.ts'; // prettier-ignore
export { describeFingerprint, fingerprintSchema } from './fingerprint.ts';
export type { Fingerprint, FingerprintKind, SequenceFingerprint, TableFingerprint } from './fingerprint.ts';
export { takeFingerprint } from './fingerprint-take.ts';
export { compareFingerprint } from './fingerprint-compare.ts';
export { databaseSettingsSchema, readDatabaseSettings } from './database-settings.ts';
export type { DatabaseGrant, DatabaseSettings, ParameterSetting } from './database-settings.ts';
export {
  applySettingsStatements,
  createDatabaseStatement,
  localeProblem,
  setParameter,
  templateHasRules,
} from './database-statements.ts';
export type { ApplyOptions, CreateDatabaseOptions, SettingStatement } from './database-statements.ts';
export { produce, runTool } from './child.ts';
export type { ChildOptions, ProducedBody } from './child.ts';
export { takeLock } from './lock.ts';
export { plural } from './plural.ts';
export { commandLine } from './program.ts';
export type { Program } from './program.ts';
export { findTool, saferVersion } from './tools.ts';
export type { ClientPrograms, Tool, ToolName } from './tools.ts';
