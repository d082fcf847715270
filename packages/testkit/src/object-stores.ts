export { installCeph, startCeph } from './object-stores/ceph.ts';
export type { CephAccess, CephOptions, InstalledCeph, ThrowawayCeph } from './object-stores/ceph.ts';
