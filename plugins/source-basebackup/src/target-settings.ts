import type { RecoveryGoal, RecoveryTarget } from '@pgsilo/plugin';

/** Whether recovery needs log that the backup does not hold. */
export function needsLog(recovery: RecoveryTarget | undefined): recovery is RecoveryTarget {
  return recovery !== undefined && recovery.point.kind !== 'immediate';
}

/**
 * Where a server is to stop that recovers. All settings of a target are there, so that none of the old server's counts; the one that is meant comes last: what is set after it, even to nothing, is a second target to
 * PostgreSQL (`error_multiple_recovery_targets` in access/transam/xlogrecovery.c).
 */
export function targetSettings(goal: RecoveryGoal | undefined): Readonly<Record<string, string>> {
  const [name, value] = targetOf(goal);
  const none = ['', '_lsn', '_name', '_xid', '_time'].map((end) => `recovery_target${end}`);
  return {
    ...Object.fromEntries(none.filter((one) => one !== name).map((one) => [one, ''])),
    ...(name === undefined ? {} : { [name]: value }),
    recovery_target_inclusive: 'on',
    recovery_target_action: 'promote',
    recovery_target_timeline: String(goal?.timeline ?? 'latest'),
  };
}

function targetOf(goal: RecoveryGoal | undefined): readonly [name?: string, value?: string] {
  const point = goal?.point;
  switch (point?.kind) {
    case 'time':
      // A zone by its letter is not understood so early.
      return ['recovery_target_time', point.at.replace('T', ' ').replace('Z', '+00')];
    case 'lsn':
      return ['recovery_target_lsn', point.lsn];
    case 'xid':
      return ['recovery_target_xid', point.xid];
    case 'restore-point':
      return ['recovery_target_name', point.name];
    case 'immediate':
      return ['recovery_target', 'immediate'];
    case 'latest':
    case undefined:
      return [];
  }
}
