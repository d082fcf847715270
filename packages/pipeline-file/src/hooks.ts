/** The moments at which hooks run. */
export const hookNames = [
  'before-backup',
  'after-backup',
  'before-restore',
  'after-restore',
  'before-swap',
  'after-swap',
] as const;
export type HookName = (typeof hookNames)[number];

/** A command of a person's own, without a shell. */
export interface Hook {
  readonly run: readonly string[];
  /** Milliseconds. */
  readonly timeout: number;
  /** Names of variables that it gets besides the harmless ones. */
  readonly env: readonly string[];
}

export type Hooks = Readonly<Partial<Record<HookName, readonly Hook[]>>>;
