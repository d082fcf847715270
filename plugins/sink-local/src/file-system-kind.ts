/** What is worth knowing of a file system that holds backups. */
export interface FileSystemKind {
  readonly name: string;
  /** Why backups are not safe there. */
  readonly warning?: string;
}

/** Linux's magic numbers (statfs(2)); other systems number them by their own tables. */
const kinds: Readonly<Record<number, FileSystemKind>> = {
  0xef53: { name: 'ext2/3/4' },
  0x58465342: { name: 'xfs' },
  0x9123683e: { name: 'btrfs' },
  0x2fc12fc1: { name: 'zfs' },
  0xf2f52010: { name: 'f2fs' },
  0xca451a4e: { name: 'bcachefs' },
  0x6969: { name: 'nfs' },
  0xff534d42: { name: 'cifs' },
  0xfe534d42: { name: 'smb' },
  0x00c36400: { name: 'ceph' },
  0x65735546: { name: 'fuse' },
  0x4d44: { name: 'fat' },
  0x2011bab0: { name: 'exfat' },
  0x01021994: { name: 'tmpfs', warning: 'it lies in memory and is gone when the machine stops' },
  0x858458f6: { name: 'ramfs', warning: 'it lies in memory and is gone when the machine stops' },
  0x794c7630: { name: 'overlayfs', warning: "it is a container's own layer and goes with the container" },
};

export function fileSystemKind(type: number): FileSystemKind {
  if (process.platform !== 'linux') return { name: `type ${type}` };
  // The number is signed on some machines.
  return kinds[type >>> 0] ?? { name: `type 0x${(type >>> 0).toString(16)}` };
}
