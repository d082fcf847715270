import { open, stat } from 'node:fs/promises';
import { PgsiloError, type WalFiles } from '@pgsilo/plugin';
import { obstacleTo } from './timelines.ts';
import { isExpired } from './wal-expiry.ts';
import { timelineOf } from './wal-names.ts';
import { openQueue } from './wal-queue.ts';
import { walSegments } from './wal-segments.ts';

/** The header of a segment's first page: `XLogLongPageHeaderData` in access/xlog_internal.h. */
const headerBytes = 40;
const longHeader = 0x0002;

/** Files of the write-ahead log by their names ("File System Level" names in access/xlog_internal.h). */
export const walFiles: WalFiles = {
  classify(name) {
    const timeline = timelineOf(name);
    return timeline === undefined ? undefined : { name, timeline };
  },
  async examine(name, path) {
    const size = await sizeOf(path);
    if (!/^[0-9A-F]{24}(?:\.partial)?$/.test(name)) return;
    const header = await readHeader(path);
    const wrong = problemOf(name, header, size);
    if (wrong !== undefined) throw invalid(path, wrong);
  },
  firstNeeded({ startSegment }) {
    return typeof startSegment === 'string' && /^[0-9A-F]{24}$/.test(startSegment) ? startSegment : undefined;
  },
  isExpired,
  obstacle: obstacleTo,
  waiting: openQueue,
  segments: walSegments,
};

/** What is wrong with a segment; undefined: nothing that its beginning tells. */
function problemOf(name: string, header: Buffer, size: number): string | undefined {
  if (header.length < headerBytes || !(header.readUInt16LE(2) & longHeader))
    return 'does not begin as a segment of write-ahead log does';
  const segmentBytes = header.readUInt32LE(32);
  if (segmentBytes !== size) return `has ${size} bytes, and its header says ${segmentBytes}`;
  const perFile = 0x1_0000_0000n / BigInt(segmentBytes);
  const number = BigInt(`0x${name.slice(8, 16)}`) * perFile + BigInt(`0x${name.slice(16, 24)}`);
  const address = header.readBigUInt64LE(8);
  // A segment that was handed out anew and not yet written begins with the address that it had.
  return address === number * BigInt(segmentBytes)
    ? undefined
    : `holds another part of the log than its name says (it begins at ${address.toString(16)})`;
}

async function sizeOf(path: string): Promise<number> {
  try {
    const found = await stat(path);
    if (found.isFile()) return found.size;
  } catch (error) {
    throw new PgsiloError('source.failed', `${path} cannot be read: ${(error as Error).message}`, {
      cause: error,
      hint: 'archive_command is run in the data directory of the server, and %p is relative to it.',
    });
  }
  throw invalid(path, 'is no file');
}

async function readHeader(path: string): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(headerBytes), 0, headerBytes, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

function invalid(path: string, why: string): PgsiloError {
  return new PgsiloError('source.archive-invalid', `${path} ${why}; it was not archived`, {
    hint: "Look at the server's log and disk: it keeps the file and hands it out again.",
  });
}
