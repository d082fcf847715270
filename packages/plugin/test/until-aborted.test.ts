import { expect, test } from 'vitest';
import { PgsiloError, takeIn, untilAborted } from '../src/index.ts';

async function* stalled(closed: () => void): AsyncGenerator<Uint8Array> {
  try {
    yield Buffer.from('first');
    await new Promise(() => {});
  } finally {
    closed();
  }
}

async function* chunks(closed: () => void = () => {}): AsyncGenerator<Uint8Array> {
  try {
    for (let count = 0; count < 3; count += 1) yield Buffer.from(String(count));
  } finally {
    closed();
  }
}

test('gives what the body gives, and its very error', async () => {
  const { signal } = new AbortController();
  let text = '';
  for await (const chunk of untilAborted(chunks(), signal)) text += String(chunk);
  expect(text).toBe('012');
  const error = new Error('the producer exited with status 1');
  async function* dying(): AsyncGenerator<Uint8Array> {
    yield* chunks();
    throw error;
  }
  const read = untilAborted(dying(), signal);
  for (let count = 0; count < 3; count += 1) await read.next();
  await expect(read.next()).rejects.toBe(error);
});

test('throws the reason while the body stalls', async () => {
  const controller = new AbortController();
  const read = untilAborted(
    stalled(() => {}),
    controller.signal,
  );
  await read.next();
  const waiting = read.next();
  controller.abort(new PgsiloError('limit.timeout', 'too long'));
  await expect(waiting).rejects.toMatchObject({ code: 'limit.timeout' });
});

test('an abort at the end of the body is not taken for its end', async () => {
  const controller = new AbortController();
  async function* body(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('all');
    controller.abort();
  }
  const read = untilAborted(body(), controller.signal);
  await read.next();
  await expect(read.next()).rejects.toMatchObject({ code: 'aborted' });
});

test('closes the body when its reader stops', async () => {
  let closed = false;
  const read = untilAborted(
    chunks(() => (closed = true)),
    new AbortController().signal,
  );
  await read.next();
  await read.return(undefined);
  expect(closed).toBe(true);
});

test('what is taken in is counted, and its error comes out as it was', async () => {
  const { signal } = new AbortController();
  const whole = takeIn(chunks(), signal);
  for await (const _chunk of whole.body);
  expect(whole.bytes).toBe(3);
  expect(() => whole.rethrow()).not.toThrow();
  const error = new Error('the producer exited with status 1');
  async function* dying(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('12345');
    throw error;
  }
  const dead = takeIn(dying(), signal);
  const library = (async () => {
    try {
      for await (const _chunk of dead.body);
    } catch {
      throw new Error('socket hang up');
    }
  })();
  await expect(library).rejects.toThrow('socket hang up');
  expect(dead.bytes).toBe(5);
  expect(() => dead.rethrow()).toThrow(error);
});
