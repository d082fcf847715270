import { bodyOf, collect, gatedBody, randomBody, testContext } from '@pgsilo/testkit';
import { describeSink } from '@pgsilo/testkit/vitest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import plugin from '../src/index.ts';
import { errorOf } from './errors-of.ts';
import { gatewayHere, makeSink, optionsFor, startGateway } from './gateway.ts';
import type { Gateway } from './gateway.ts';

const installed = await gatewayHere(18);

describe.skipIf('unavailable' in installed)(
  'a release of Ceph that knows only a part of the protocol',
  () => {
    let gateway: Gateway;
    beforeAll(async () => {
      gateway = await startGateway(installed);
      await gateway.makeBucket('backups');
    }, 120_000);
    afterAll(() => gateway.stop(), 60_000);

    it('is told by check: it completes an upload in parts over an object that is there', async () => {
      const context = testContext();
      const sink = await makeSink(optionsFor(gateway));
      const results = await Array.fromAsync(sink.check(context));
      expect(results.map(({ name, status }) => [name, status])).toEqual([
        ['write access', 'ok'],
        ['create-only', 'warning'],
        ['unfinished uploads', 'ok'],
        ['lifecycle', 'warning'],
      ]);
      expect(results[1]).toMatchObject({ message: expect.stringContaining('If-None-Match') });
      await sink.close();
      await context.dispose();
    });

    it('does not overwrite an object that came while the parts of another were sent', async () => {
      const context = testContext();
      const sink = await makeSink(optionsFor(gateway, { partSize: '5MiB' }));
      const { body, reached, open } = gatedBody(randomBody(11 * 2 ** 20), bodyOf('the end'));
      const slow = errorOf(sink.put('contended', body, { kind: 'artifact' }, context));
      await reached;
      await sink.put('contended', bodyOf('first'), { kind: 'artifact' }, context);
      open();
      expect((await slow).code).toBe('sink.exists');
      expect(String(await collect(sink.get('contended', undefined, context)))).toBe('first');
      await sink.remove(['contended'], context);
      await sink.close();
      await context.dispose();
    });

    describeSink('s3', async () => ({
      sink: await makeSink(optionsFor(gateway, { partSize: '5MiB' })),
      traits: plugin.traits,
      secrets: [gateway.secretAccessKey],
      keysPerPage: 1000,
      waived: {
        'two writers, one winner':
          'it ignores If-None-Match when an upload in parts is completed, as check says',
      },
    }));
  },
);
