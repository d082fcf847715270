export { findCeph, installCeph, startCeph } from './object-stores/ceph.ts';
export type { CephOptions, InstalledCeph, ThrowawayCeph } from './object-stores/ceph.ts';
export type { CephAccess } from './object-stores/ceph-files.ts';
export { startGcs } from './object-stores/gcs.ts';
export type { ThrowawayGcs } from './object-stores/gcs.ts';
export type { GcsBucketSettings } from './object-stores/gcs-buckets.ts';
export type { GcsFault } from './object-stores/gcs-faults.ts';
export type { GcsCall, GcsRequest } from './object-stores/gcs-request.ts';
