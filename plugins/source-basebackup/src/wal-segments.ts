import type { JsonObject, WalLeg, WalSegments } from '@pgsilo/plugin';
import { positionOf } from './wal-range.ts';

/** How segments follow each other, by their names and by the histories of timelines (`XLogFileName` in access/xlog_internal.h, access/transam/timeline.c). */
export const walSegments: WalSegments = {
  usualBytes: 16 * 2 ** 20,
  bytesOf(about) {
    const { segmentBytes, startSegment, startLsn } = about;
    if (typeof segmentBytes === 'number') return isSize(segmentBytes) ? segmentBytes : undefined;
    // Backups of earlier versions of pgsilo say only where they begin, and in which segment that is.
    const low = typeof startSegment === 'string' ? Number.parseInt(startSegment.slice(16), 16) : 0;
    const within = typeof startLsn === 'string' ? Number.parseInt(startLsn.split('/')[1] ?? '', 16) : 0;
    if (!(low > 0 && within > 0)) return undefined;
    const size = 2 ** Math.floor(Math.log2(within / low));
    return isSize(size) && Math.floor(within / size) === low ? size : undefined;
  },
  numberOf(name, segmentBytes) {
    const [, high, low] = /^[0-9A-F]{8}([0-9A-F]{8})([0-9A-F]{8})$/.exec(name) ?? [];
    if (high === undefined) return undefined;
    const perFile = 2 ** 32 / segmentBytes;
    const [file, within] = [Number.parseInt(high, 16), Number.parseInt(low!, 16)];
    return within < perFile ? file * perFile + within : undefined;
  },
  nameOf(timeline, number, segmentBytes) {
    const perFile = 2 ** 32 / segmentBytes;
    return timeline + hex(Math.floor(number / perFile)) + hex(number % perFile);
  },
  way(about, segmentBytes, histories) {
    const end = endOf(about);
    if (!end) return undefined;
    const first = segmentOf(end.position - 1n, segmentBytes) + 1;
    // The server asks for one history after the other and ends with the first that is missing.
    let newest = end.timeline;
    while (histories.has(hex(newest + 1))) newest += 1;
    const branches = newest === end.timeline ? [] : branchesOf(histories.get(hex(newest))!);
    const own = branches.findIndex(({ timeline }) => timeline === end.timeline);
    // A newest timeline that did not come of this one, or left it before the backup ended, is none that recovery gets to.
    if (own < 0 || branches[own]!.end < end.position) return [{ timeline: hex(end.timeline), from: first }];
    const legs: WalLeg[] = [];
    let from = first;
    for (const branch of branches.slice(own)) {
      // The segment in which a timeline ends is the first of the next one, which took its beginning along.
      const to = segmentOf(branch.end, segmentBytes) - 1;
      legs.push({ timeline: hex(branch.timeline), from, to });
      from = Math.max(from, to + 1);
    }
    return [...legs, { timeline: hex(newest), from }];
  },
};

function isSize(bytes: number): boolean {
  return bytes >= 2 ** 20 && bytes <= 2 ** 30 && Number.isInteger(Math.log2(bytes));
}

function endOf({
  timeline,
  stopLsn,
}: JsonObject): { readonly timeline: number; readonly position: bigint } | undefined {
  if (typeof timeline !== 'number' || typeof stopLsn !== 'string') return undefined;
  try {
    return { timeline, position: positionOf(stopLsn) };
  } catch {
    return undefined;
  }
}

/** Lines of a history: a timeline, where it was left, why. */
function branchesOf(text: string): readonly { readonly timeline: number; readonly end: bigint }[] {
  return text.split('\n').flatMap((line) => {
    const [, timeline, end] = /^\s*(\d+)\s+([0-9A-F]+\/[0-9A-F]+)/i.exec(line) ?? [];
    return timeline === undefined ? [] : [{ timeline: Number(timeline), end: positionOf(end!) }];
  });
}

function segmentOf(position: bigint, segmentBytes: number): number {
  return Number(position / BigInt(segmentBytes));
}

const hex = (number: number): string => number.toString(16).toUpperCase().padStart(8, '0');
