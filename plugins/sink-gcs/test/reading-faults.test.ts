import { once } from 'node:events';
import { connect } from 'node:net';
import { Worker } from 'node:worker_threads';
import { collect, randomBody } from '@pgsilo/testkit';
import type { GcsFault } from '@pgsilo/testkit/object-stores';
import { describe, expect, it } from 'vitest';
import { artifact, mebibyte, size, useFaultyGcs } from './faulty-gcs.ts';
import { bucket, errorOf } from './gcs.ts';

const gcs = useFaultyGcs();

describe('reading', () => {
  it('goes on after connections that broke, with the same generation', async () => {
    await gcs.put();
    const generations: (string | null)[] = [];
    const faults: GcsFault[] = [{ cutAfter: 100_000 }, { cutAfter: 1_000_000 }, 'reset', { cutAfter: 7 }];
    gcs.server.decide = ({ call, query }) => {
      if (call !== 'read') return undefined;
      generations.push(query.get('generation'));
      return faults.shift();
    };
    await gcs.mustBeWhole();
    expect(generations.length).toBe(5);
    expect(new Set(generations.slice(1)).size).toBe(1);
    expect(generations[1]).toMatch(/^\d+$/);
  });

  it.each([undefined, { offset: 10, length: 50_000 }])(
    'is an error when fewer bytes come than there are: %j',
    async (range) => {
      await gcs.put();
      gcs.server.decide = ({ call }) => (call === 'read' ? { shortBy: 10 } : undefined);
      expect((await errorOf(collect(gcs.sink.get(gcs.name, range, gcs.context)))).code).toBe('sink.corrupt');
    },
  );

  it('knows what is whole when an answer does not tell its length', async () => {
    await gcs.put();
    gcs.fault('read', { shortBy: 0, unsized: true }, { shortBy: 10, unsized: true });
    await gcs.mustBeWhole();
    expect((await errorOf(collect(gcs.sink.get(gcs.name, undefined, gcs.context)))).code).toBe(
      'sink.corrupt',
    );
  });

  it('ends as unreachable when the connection always breaks', async () => {
    await gcs.put();
    gcs.server.decide = ({ call }) => (call === 'read' ? { cutAfter: 0 } : undefined);
    expect((await errorOf(collect(gcs.sink.get(gcs.name, undefined, gcs.context)))).code).toBe(
      'sink.unreachable',
    );
  });

  it('gives up a service that stops in the middle, and waits for a reader that does', async () => {
    await gcs.sink.close();
    gcs.sink = gcs.server.open({}, 300);
    await gcs.put();
    let bytes = 0;
    for await (const piece of gcs.sink.get(gcs.name, undefined, gcs.context)) {
      // Longer than the service may be silent.
      if (bytes === 0) await new Promise((resolve) => setTimeout(resolve, 700));
      bytes += piece.length;
    }
    expect(bytes).toBe(size);
    expect(gcs.calls.filter((call) => call === 'read')).toHaveLength(1);
    gcs.server.decide = ({ call }) => (call === 'read' ? 'stall' : undefined);
    expect((await errorOf(collect(gcs.sink.get(gcs.name, undefined, gcs.context)))).code).toBe(
      'sink.unreachable',
    );
  });
});

describe('a range', () => {
  it.each([undefined, { offset: 10, length: 50_000 }])(
    'that the service ignores is no answer, from the start or after a break: %j',
    async (range) => {
      await gcs.put();
      let reads = 0;
      gcs.server.decide = ({ call, headers }) => {
        if (call !== 'read') return undefined;
        // As a proxy does that does not know them.
        delete headers.range;
        return (reads += 1) === 1 && range === undefined ? { cutAfter: 100_000 } : undefined;
      };
      const pieces: Uint8Array[] = [];
      const read = async () => {
        for await (const piece of gcs.sink.get(gcs.name, range, gcs.context)) pieces.push(piece);
      };
      expect((await errorOf(read())).code).toBe('sink.failed');
      // Nothing that it did not ask for has reached the reader.
      const whole = await collect(randomBody(size));
      const got = Buffer.concat(pieces);
      expect(got.equals(whole.subarray(0, got.length))).toBe(true);
      expect(got.length).toBeLessThanOrEqual(range === undefined ? 100_000 : 0);
    },
  );
});

describe('a service that takes no connections', () => {
  it('is unreachable after the time for an answer, not after that of the system', async () => {
    const deaf = await listenDeafly();
    const sink = gcs.server.open({ apiEndpoint: deaf.endpoint, keyFile: undefined }, 300);
    expect((await errorOf(sink.stat(gcs.name, gcs.context))).code).toBe('sink.unreachable');
    await sink.close();
    await deaf.stop();
  }, 20_000);
});

/** A port whose queue of connections is full, as behind a firewall that drops what it does not like. */
async function listenDeafly(): Promise<{ endpoint: string; stop(): Promise<void> }> {
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads');
     const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
       parentPort.postMessage(server.address().port);
       Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
     });`,
    { eval: true },
  );
  const [port] = (await once(worker, 'message')) as [number];
  const sockets = Array.from({ length: 8 }, () => connect(port, '127.0.0.1').on('error', () => {}));
  // The first ones fill the queue.
  await once(sockets[0]!, 'connect');
  return {
    endpoint: `http://127.0.0.1:${port}`,
    async stop() {
      for (const socket of sockets) socket.destroy();
      await worker.terminate();
    },
  };
}

describe('a bucket that is not there', () => {
  it('is missing, and never an object that is not found', async () => {
    const other = gcs.server.open({ bucket: 'no-such-bucket' });
    const refused = [
      other.put(gcs.name, randomBody(10), artifact, gcs.context),
      other.put(gcs.name, randomBody(40 * mebibyte), artifact, gcs.context),
      other.stat(gcs.name, gcs.context),
      collect(other.get(gcs.name, undefined, gcs.context)),
      Array.fromAsync(other.list('', gcs.context)),
      other.remove([gcs.name], gcs.context),
    ].map(errorOf);
    for (const error of await Promise.all(refused)) expect(error.code).toBe('sink.missing');
    await other.close();
    expect(gcs.server.service.buckets.has(bucket)).toBe(true);
  });

  it.each([
    ['no-such-bucket', 'sink.missing'],
    [bucket, 'sink.not-found'],
  ])('is told from an object where the answer is silent on it: of %s it is %s', async (chosen, code) => {
    gcs.server.decide = ({ call }) =>
      call === 'read' || call === 'stat'
        ? { status: 404, reason: 'notFound', message: 'Not Found' }
        : undefined;
    const other = gcs.server.open({ bucket: chosen });
    expect((await errorOf(other.stat(gcs.name, gcs.context))).code).toBe(code);
    expect((await errorOf(collect(other.get(gcs.name, undefined, gcs.context)))).code).toBe(code);
    await other.close();
  });
});
