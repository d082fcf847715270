import type { RestoreEvent } from '@pgsilo/engine';
import { redact } from '@pgsilo/plugin';
import type { Invocation } from './invocation.ts';
import { fitWidth, formatDuration, formatElapsed } from './terminal/format.ts';
import { printableText } from './terminal/printable.ts';

const heartbeat = 30_000;

/** Shows the steps of a restore as they go. */
export interface RestoreWatch {
  observe(event: RestoreEvent): void;
  /** Leaves the terminal to a question. */
  pause(): void;
  resume(): Promise<void>;
  end(): void;
}

export async function watchRestore(invocation: Invocation): Promise<RestoreWatch> {
  const { screen, log, errorStyle: style, progress } = invocation;
  const now = (): number => invocation.now().getTime();
  const running = new Map<string, number>();
  const safe = (name: string): string => printableText(redact(name)).replaceAll('\n', ' ');
  const draw = async (): Promise<void> => {
    if (progress !== 'live') return;
    await screen.show(({ columns }) =>
      [...running].map(([name, since]) =>
        fitWidth(`  … ${safe(name)}  ${formatElapsed(now() - since)}`, columns),
      ),
    );
  };
  const beat = setInterval(() => {
    if (progress !== 'lines') return;
    for (const [name, since] of running)
      log.info(`still at it: ${safe(name)}, ${formatDuration(now() - since)}`);
  }, heartbeat);
  beat.unref();
  await draw();
  return {
    observe(event) {
      if (event.type === 'step') {
        running.set(event.name, now());
        return;
      }
      running.delete(event.name);
      const took = formatDuration(event.seconds * 1000);
      if (progress === 'live') screen.print(`  ${style.green('✓')} ${safe(event.name)}  ${style.dim(took)}`);
      else if (progress === 'lines') log.info(`${safe(event.name)}: ${took}`);
    },
    pause: () => screen.stop(),
    resume: draw,
    end() {
      clearInterval(beat);
      screen.stop();
    },
  };
}
