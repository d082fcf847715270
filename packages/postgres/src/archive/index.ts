export { beginArchive, readsVersion, versionsRead, type BegunArchive } from './archive-version.ts';
export { provedByTool, type ProofByTool } from './proved-by-tool.ts';
export type { DataCount } from './block-walker.ts';
export { isData, observeArchive, type ObservedArchive } from './observe-archive.ts';
export { readArchive, readToc, type ArchiveContents, type ReadArchiveOptions } from './read-archive.ts';
export { archiveLargeObjects, type LargeObjectPiece } from './archive-large-objects.ts';
export { largeObjectsOf, sequenceValue, type SequenceValue } from './sequence-set.ts';
export {
  majorVersion,
  type ArchiveCompression,
  type ArchiveHeader,
  type Section,
  type Toc,
  type TocEntry,
} from './toc.ts';
export { TocParser, type TocParserOptions } from './toc-parser.ts';
export { useList } from './use-list.ts';
export { archiveSubset } from './subset.ts';
export { textDecoder, type DecodeText } from './text-encoding.ts';
export { splitArchive, type ArchivePart, type SplitOptions } from './split.ts';
export { EntryOwners } from './split-owner.ts';
export { archiveRows, type ArchiveRows } from './archive-rows.ts';
