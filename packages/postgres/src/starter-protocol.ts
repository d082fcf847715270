/** What a starter is told, and what it answers. `id` is that of one program. */
export type StarterOrder = StartOrder | KillOrder;

export interface StartOrder {
  readonly do: 'start';
  readonly id: number;
  readonly file: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** File descriptors in the starter. */
  readonly stdout: number;
  readonly stderr: number;
}

export interface KillOrder {
  readonly do: 'kill';
  readonly id: number;
  readonly signal: StopSignal;
}

export type StopSignal = 'SIGTERM' | 'SIGKILL';

export type StarterAnswer =
  | { readonly is: 'ready' }
  | { readonly is: 'started'; readonly id: number; readonly pid: number }
  | ProgramEnd;

export type ProgramEnd =
  | {
      readonly is: 'ended';
      readonly id: number;
      readonly exitCode: number | null;
      readonly signal: string | null;
    }
  /** It could not be started. */
  | {
      readonly is: 'failed';
      readonly id: number;
      readonly message: string;
      readonly code: string | undefined;
    };
