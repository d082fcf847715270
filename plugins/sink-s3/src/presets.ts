import { mostParts } from './part-limits.ts';

/** What differs between those who offer the protocol. */
export interface Preset {
  /** `required`: none but where the protocol demands one. Many stores take the SDK's own for a part of the body, or refuse them. */
  readonly checksums: 'always' | 'required';
  readonly maxParts: number;
  /** All parts but the last must be of one size. */
  readonly equalParts: boolean;
  readonly pathStyle: boolean;
  /** Whether create-only is one step in a bucket that keeps versions, too: in Ceph's, two writers at once may both win. */
  readonly atomicVersions: boolean;
}

const clone: Preset = {
  checksums: 'required',
  maxParts: mostParts,
  equalParts: false,
  pathStyle: true,
  atomicVersions: false,
};

export const providers = ['aws', 'b2', 'ceph', 'minio', 'other', 'r2', 'scaleway'] as const;
export type Provider = (typeof providers)[number];

export const presets: Readonly<Record<Provider, Preset>> = {
  aws: {
    checksums: 'always',
    maxParts: mostParts,
    equalParts: false,
    pathStyle: false,
    atomicVersions: true,
  },
  b2: clone,
  ceph: clone,
  minio: clone,
  other: clone,
  r2: { ...clone, equalParts: true },
  scaleway: { ...clone, maxParts: 1000 },
};
