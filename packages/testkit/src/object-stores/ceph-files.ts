import { randomUUID } from 'node:crypto';
import { join } from 'node:path';

/** Where the parts of an installation are. */
export interface CephPrograms {
  readonly root: string;
  program(name: string): string;
}

export function programsIn(root: string): CephPrograms {
  return { root, program: (name) => join(root, 'run', name) };
}

/** What opens a store. */
export interface CephAccess {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface CephPlan {
  readonly folder: string;
  /** The gateway's; the monitor has the next one, the rest comes after it. */
  readonly port: number;
  /** A day of lifecycle rules lasts so many seconds; 0: a day. */
  readonly lifecycleDay: number;
  /** Bytes of objects that it holds at most, in memory. */
  readonly memory: number;
}

/** A key service for tests: SSE-KMS works with this name, SSE-S3 does not. */
export const kmsKey = 'testkey-1';

/** ceph.conf of one monitor, one store in memory and one gateway, all on loopback; nothing is durable. */
export function configuration(
  { folder, port, lifecycleDay, memory }: CephPlan,
  { root }: CephPrograms,
): string {
  const libraries = join(root, 'usr/lib/x86_64-linux-gnu');
  const settings: Record<string, string | number> = {
    fsid: randomUUID(),
    'mon host': `[v2:127.0.0.1:${port + 1}]`,
    'public addr': '127.0.0.1',
    'cluster addr': '127.0.0.1',
    'ms bind msgr1': 'false',
    'ms bind port min': port + 2,
    'ms bind port max': port + 40,
    'auth cluster required': 'none',
    'auth service required': 'none',
    'auth client required': 'none',
    'ms mon client mode': 'crc',
    'run dir': join(folder, 'run'),
    'admin socket': join(folder, 'run/$name.asok'),
    'log file': join(folder, '$name.log'),
    'log to stderr': 'false',
    'mon cluster log file': join(folder, 'cluster.log'),
    'crash dir': join(folder, 'run'),
    keyring: join(folder, 'keyring'),
    'plugin dir': join(libraries, 'ceph'),
    'erasure code dir': join(libraries, 'ceph/erasure-code'),
    'osd class dir': join(libraries, 'rados-classes'),
    'osd pool default size': 1,
    'osd pool default min size': 1,
    'osd pool default pg num': 4,
    'osd pool default pgp num': 4,
    'osd pool default pg autoscale mode': 'off',
    'osd crush chooseleaf type': 0,
    'mon allow pool size one': 'true',
    'mon max pg per osd': 2000,
    'mon data avail crit': 1,
    'mon data': join(folder, 'mon'),
    'osd data': join(folder, 'osd'),
    'osd objectstore': 'memstore',
    'memstore device bytes': memory,
    'osd op num shards': 2,
    'osd memory target': 939_524_096,
    'osd numa auto affinity': 'false',
    'rgw data': join(folder, 'rgw'),
    'rgw frontends': `beast endpoint=127.0.0.1:${port} tcp_nodelay=1`,
    'paxos propose interval': 0.01,
    'paxos min wait': 0.01,
    'mon tick interval': 1,
    'osd heartbeat interval': 1,
    'rgw crypt require ssl': 'false',
    'rgw crypt s3 kms backend': 'testing',
    // 32 bytes.
    'rgw crypt s3 kms encryption keys': `${kmsKey}=YmluCmJvb3N0CmJvb3N0LWJ1aWxkCmNlcGguY29uZgo=`,
    'rgw thread pool size': 64,
    'rgw relaxed s3 bucket names': 'true',
    'rgw gc obj min wait': 5,
    'rgw lc debug interval': lifecycleDay > 0 ? lifecycleDay : -1,
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}\n`);
  return `[global]\n${lines.join('')}`;
}
