import { PgsiloError } from '@pgsilo/plugin';
import type { BackupView, CheckOutcome, Examination, RestoreRequest, ScratchServer } from '@pgsilo/plugin';
import type { FakeSource } from './fakes.ts';

export interface FakeScratch {
  /** What was done, in order: `start 15.18`, `prepare acme`, `restore acme to copy-acme`, `examine copy-acme`, `remove acme`, `close`. */
  readonly log: string[];
  restoreWith: (backup: BackupView) => void;
  examineWith: (backup: BackupView) => Partial<Examination>;
  unfit: (backup: BackupView) => string | undefined;
}

/** Gives a fake source a server to prove backups in, which does nothing but tell what it was told to do. */
export function withScratch(source: FakeSource): FakeScratch {
  const log: string[] = [];
  const fake: FakeScratch = {
    log,
    restoreWith: () => undefined,
    examineWith: () => ({}),
    unfit: () => undefined,
  };
  source.scratch = ({ serverVersion }): Promise<ScratchServer> => {
    log.push(`start ${serverVersion}`);
    const isGlobals = ({ unit }: BackupView): boolean => unit.name === '@globals';
    return Promise.resolve({
      about: 'a fake',
      connection: 'scratch',
      unfit: (backup) => fake.unfit(backup),
      takesServer: isGlobals,
      isRegistry: ({ unit }) => unit.name === 'registry',
      jointName: () => 'joint',
      copyName: (backup) => (isGlobals(backup) ? undefined : `copy-${backup.unit.name}`),
      prepare: (backup, globals) => {
        log.push(`prepare ${backup.unit.name}${globals ? ' with roles' : ''}`);
        return Promise.resolve();
      },
      examine: (target, backup, checks) => {
        log.push(`examine ${target}`);
        const outcomes = checks.map(({ name }): CheckOutcome => ({ name, status: 'ok', took: 1 }));
        return Promise.resolve({
          compared: [],
          differences: [],
          checks: outcomes,
          ...fake.examineWith(backup),
        });
      },
      remove: (backup) => {
        log.push(`remove ${backup.unit.name}`);
        return Promise.resolve();
      },
      close: () => {
        log.push('close');
        return Promise.resolve();
      },
    });
  };
  source.restore = ({ backup, to, toServer }: RestoreRequest) => {
    if (toServer !== 'scratch') throw new PgsiloError('internal', 'this is the live server');
    return Promise.resolve({
      plan: [],
      run: () => {
        log.push(`restore ${backup.unit.name} to ${to}`);
        fake.restoreWith(backup);
        return Promise.resolve({ target: to ?? 'server', compared: '3 rows', warnings: [], next: [] });
      },
      close: () => Promise.resolve(),
    });
  };
  return fake;
}
