import type { RestoreAllEvent, RestoredUnit } from '@pgsilo/engine';
import { redact } from '@pgsilo/plugin';
import type { Invocation } from './invocation.ts';
import { fitWidth, formatDuration, formatElapsed } from './terminal/format.ts';
import { printable, printableText } from './terminal/printable.ts';

const heartbeat = 30_000;
/** Units that are drawn at once. */
const mostDrawn = 10;

/** Shows a restore of everything as it goes. */
export interface RestoreAllWatch {
  observe(event: RestoreAllEvent): void;
  /** Leaves the terminal to what is printed. */
  pause(): void;
  resume(): Promise<void>;
  end(): void;
}

export async function watchRestoreAll(invocation: Invocation): Promise<RestoreAllWatch> {
  const { screen, log, errorStyle: style, progress } = invocation;
  const now = (): number => invocation.now().getTime();
  const running = new Map<string, number>();
  let done = 0;
  let total: number | undefined;
  const count = (): string => `${done} of ${total ?? 'an unknown number of'} units`;
  const draw = async (): Promise<void> => {
    if (progress !== 'live') return;
    await screen.show(({ columns }) =>
      [...running]
        .slice(0, mostDrawn)
        .map(([unit, since]) => fitWidth(`  … ${printable(unit)}  ${formatElapsed(now() - since)}`, columns)),
    );
  };
  const beat = setInterval(() => {
    if (progress === 'lines') log.info(`still at it: ${count()} done, ${running.size} under way`);
  }, heartbeat);
  beat.unref();
  return {
    observe(event) {
      if (event.type === 'unit-started') running.set(event.unit, now());
      else if (event.type === 'others') {
        total = done + event.units;
        if (progress !== 'none')
          log.info(`the registry names ${event.units} more units; ${event.atOnce} at once`);
      } else {
        running.delete(event.unit.unit);
        done += 1;
        const { unit } = event;
        const text = `${printable(unit.unit)}: ${unitText(unit)}`;
        const well = isThere(unit);
        if (progress === 'live') screen.print(`  ${well ? style.green('✓') : style.red('✗')} ${text}`);
        else if (!well) log.error(text, { code: unit.error?.code });
        else if (progress === 'lines') log.info(text);
      }
    },
    pause: () => screen.stop(),
    resume: draw,
    end() {
      clearInterval(beat);
      screen.stop();
    },
  };
}

/** Whether a unit is on the new server now, equal to its backup. */
export function isThere({ status }: RestoredUnit): boolean {
  return status === 'restored' || status === 'present';
}

/** What became of a unit, in one line. */
export function unitText({ status, compared, error, seconds }: RestoredUnit): string {
  switch (status) {
    case 'restored':
      return `restored in ${formatDuration(seconds * 1000)}: ${printableText(compared ?? '')}`;
    case 'present':
      return `was there already, equal to the backup: ${printableText(compared ?? '')}`;
    case 'missing':
      return 'has no backup';
    case 'not-begun':
      return 'not begun';
    default:
      return printableText(redact(error?.message ?? 'failed'));
  }
}
