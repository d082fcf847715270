/** Does one thing with a signal that is aborted so many milliseconds after the other one, so that a request on its way is answered rather than guessed at. */
export async function withGrace<T>(
  signal: AbortSignal,
  grace: number,
  work: (late: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const begin = (): void => {
    timer = setTimeout(() => controller.abort(), grace);
  };
  if (signal.aborted) begin();
  else signal.addEventListener('abort', begin, { once: true });
  try {
    return await work(controller.signal);
  } finally {
    signal.removeEventListener('abort', begin);
    clearTimeout(timer);
  }
}
