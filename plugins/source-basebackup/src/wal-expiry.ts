/**
 * Whether recovery from none of the backups can ask for a file. A backup of a timeline goes on along it or along one that began later, which has a greater number (`findNewestTimeLine` in access/transam/timeline.c),
 * and reads no segment before its own first one. Of older timelines it reads nothing: the segment in which its timeline began was copied into that (`XLogInitNewTimeline` in access/transam/xlog.c).
 * What lies on a timeline newer than those of all backups is kept, however old its position: no backup of it is there yet.
 * @param firsts names of the first segments that the backups need. None: nothing has expired.
 */
export function isExpired(name: string, firsts: readonly string[]): boolean {
  const file = /^([0-9A-F]{8})(?:\.history$|([0-9A-F]{16})(?:$|\.))/.exec(name);
  if (!file || firsts.length === 0) return false;
  const [, timeline = '', position] = file;
  const newer = firsts.every((first) => timeline > timelineOf(first));
  return (
    !newer &&
    firsts.every(
      (first) => timeline < timelineOf(first) || (position !== undefined && position < positionOf(first)),
    )
  );
}

const timelineOf = (segment: string): string => segment.slice(0, 8);
/** Digits of equal number, so that they order as the positions do. */
const positionOf = (segment: string): string => segment.slice(8);
