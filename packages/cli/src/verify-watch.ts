import type { VerifyEvent } from '@pgsilo/engine';
import { redact } from '@pgsilo/plugin';
import type { Invocation } from './invocation.ts';
import { fitWidth, formatBytes, formatCount, formatDuration, formatElapsed } from './terminal/format.ts';
import { printable, printableText } from './terminal/printable.ts';

const heartbeat = 30_000;

/** Shows a verification as it goes. */
export interface VerifyWatch {
  observe(event: VerifyEvent): void;
  end(): void;
}

export async function watchVerify(invocation: Invocation): Promise<VerifyWatch> {
  const { screen, log, errorStyle: style, progress } = invocation;
  const now = (): number => invocation.now().getTime();
  const began = now();
  const running = new Map<string, { readonly text: string; readonly since: number }>();
  const sums = { checked: 0, failed: 0, bytes: 0 };
  const apply = (event: VerifyEvent): void => {
    const key = JSON.stringify([event.unit, event.backup, event.sink]);
    if (event.type === 'checking') {
      running.set(key, {
        text: `${printable(event.unit)}  ${event.backup}  ${printable(event.sink)}`,
        since: now(),
      });
      return;
    }
    running.delete(key);
    sums.checked += 1;
    sums.bytes += event.bytes;
    if (event.status === 'failed') sums.failed += 1;
  };
  const total = (): string => {
    const failed = sums.failed > 0 ? `, ${sums.failed} failed` : '';
    return `${formatCount(sums.checked, 'backup')}${failed} · ${formatBytes(sums.bytes)} · ${formatElapsed(now() - began)}`;
  };

  if (progress === 'live') {
    await screen.show(({ columns, rows }) => [
      ...[...running.values()]
        .slice(0, Math.max(1, rows - 4))
        .map(({ text, since }) => fitWidth(`  ${text}  ${formatElapsed(now() - since)}`, columns)),
      style.bold(fitWidth(total(), columns)),
    ]);
    return {
      observe(event) {
        apply(event);
        if (event.type === 'checked') {
          screen.print(
            `  ${event.status === 'ok' ? style.green('✓') : event.status === 'skipped' ? '-' : style.red('✗')} ${checkedText(event)}`,
          );
        }
      },
      end: () => screen.stop(),
    };
  }
  const beat = setInterval(() => {
    if (progress === 'lines') log.info(`still verifying: ${total()}`);
  }, heartbeat);
  beat.unref();
  return {
    observe(event) {
      apply(event);
      if (event.type !== 'checked') return;
      if (event.status === 'failed') log.error(checkedText(event), { code: event.error?.code });
      else if (progress === 'lines') log.info(checkedText(event));
    },
    end: () => clearInterval(beat),
  };
}

function checkedText(event: Extract<VerifyEvent, { type: 'checked' }>): string {
  const { unit, backup, sink, status, bytes, seconds, restoreSeconds, summary, error } = event;
  const whole = restoreSeconds === undefined ? 'not whole' : 'not proved';
  const about =
    status === 'ok'
      ? (summary ?? 'whole')
      : status === 'skipped'
        ? `not tried: ${summary ?? ''}`
        : `${whole}: ${error?.message ?? 'no reason was given'}`;
  const text = printableText(redact(about)).replaceAll('\n', ' ');
  return `${printable(unit)}  ${backup}  ${printable(sink)}  ${text}, ${formatBytes(bytes)} in ${formatDuration(seconds * 1000)}`;
}
