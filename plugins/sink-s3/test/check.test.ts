import {
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  PutBucketLifecycleConfigurationCommand,
  PutObjectLockConfigurationCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { BucketLifecycleConfiguration, LifecycleRule } from '@aws-sdk/client-s3';
import type { CheckResult } from '@pgsilo/plugin';
import { testContext } from '@pgsilo/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { matesOf } from '../src/bucket-mates.ts';
import plugin from '../src/index.ts';
import { openStore } from '../src/store.ts';
import { gatewayHere, makeSink, optionsFor, startGateway } from './gateway.ts';
import type { Gateway, Written } from './gateway.ts';
import { startMeddler } from './meddler.ts';

const installed = await gatewayHere();

describe.skipIf('unavailable' in installed)('check', () => {
  let gateway: Gateway;
  const context = testContext();
  beforeAll(async () => {
    gateway = await startGateway(installed);
    for (const name of ['backups', 'parts', 'rules', 'shared']) await gateway.makeBucket(name);
    await gateway.makeBucket('locked', 'locked');
  }, 120_000);
  afterAll(async () => {
    await context.dispose();
    await gateway.stop();
  }, 60_000);

  async function results(
    options: Partial<Written> = {},
    keptDays?: number,
  ): Promise<ReadonlyMap<string, CheckResult>> {
    const sink = await makeSink(optionsFor(gateway, options), keptDays);
    const found = await Array.fromAsync(sink.check(context));
    await sink.close();
    return new Map(found.map((result) => [result.name, result]));
  }

  it('finds no fault with a sound store, and prints a lifecycle policy that the store takes and that ends the warning', async () => {
    const first = await results({ bucket: 'rules', prefix: 'nightly/eu' });
    expect([...first.values()].map(({ name, status }) => [name, status])).toEqual([
      ['write access', 'ok'],
      ['create-only', 'ok'],
      ['unfinished uploads', 'ok'],
      ['lifecycle', 'warning'],
    ]);
    const policy = /\{.*\}$/s.exec(first.get('lifecycle')!.hint!)![0];
    const LifecycleConfiguration = JSON.parse(policy) as BucketLifecycleConfiguration;
    await gateway.client.send(
      new PutBucketLifecycleConfigurationCommand({ Bucket: 'rules', LifecycleConfiguration }),
    );
    const then = await results({ bucket: 'rules', prefix: 'nightly/eu' });
    expect(then.get('lifecycle')).toMatchObject({ status: 'ok', message: expect.stringContaining('7 days') });
    // The rule is for that prefix only.
    expect((await results({ bucket: 'rules', prefix: 'weekly' })).get('lifecycle')).toMatchObject({
      status: 'warning',
    });
  });

  it('prints the rule that fits its storage class, prefix and tags, which the store takes', async () => {
    const options = { bucket: 'rules', prefix: 'cold', storageClass: 'STANDARD_IA', tags: { keep: 'years' } };
    const { status, message } = (await results(options)).get('storage class')!;
    expect(status).toBe('ok');
    const rule = JSON.parse(/\{.*\}$/s.exec(message)![0]);
    expect(rule.Filter.And).toMatchObject({ Prefix: 'cold/', Tags: [{ Key: 'keep', Value: 'years' }] });
    expect(rule.Transitions).toEqual([{ Days: 30, StorageClass: 'STANDARD_IA' }]);
    const LifecycleConfiguration: BucketLifecycleConfiguration = { Rules: [rule] };
    await gateway.client.send(
      new PutBucketLifecycleConfigurationCommand({ Bucket: 'rules', LifecycleConfiguration }),
    );
    expect((await results({ bucket: 'rules' })).has('storage class')).toBe(false);
  });

  it('prints one policy for all sinks of a bucket, with the rules that are there', async () => {
    const own: LifecycleRule = {
      ID: 'mine',
      Status: 'Enabled',
      Filter: { Prefix: 'logs/' },
      Expiration: { Days: 30 },
    };
    await gateway.client.send(
      new PutBucketLifecycleConfigurationCommand({
        Bucket: 'shared',
        LifecycleConfiguration: { Rules: [own] },
      }),
    );
    const cold = await makeSink(
      optionsFor(gateway, { bucket: 'shared', prefix: 'cold', storageClass: 'STANDARD_IA' }),
    );
    const here = { bucket: 'shared', prefix: 'warm' };
    const { status, hint } = (await results(here)).get('lifecycle')!;
    expect(status).toBe('warning');
    const policy = JSON.parse(/\{.*\}$/s.exec(hint!)![0]) as BucketLifecycleConfiguration;
    expect(policy.Rules!.map(({ ID }) => ID)).toEqual([
      'mine',
      'pgsilo-unfinished-uploads-cold-',
      'pgsilo-STANDARD_IA-cold',
      'pgsilo-unfinished-uploads-warm-',
    ]);
    await gateway.client.send(
      new PutBucketLifecycleConfigurationCommand({ Bucket: 'shared', LifecycleConfiguration: policy }),
    );
    expect((await results(here)).get('lifecycle')).toMatchObject({ status: 'ok' });
    expect(
      (await Array.fromAsync(cold.check(context))).find(({ name }) => name === 'lifecycle'),
    ).toMatchObject({ status: 'ok' });
    await cold.close();
    // Who is gone has no say any more.
    const { options } = openStore(plugin.options.parse(optionsFor(gateway, here)));
    expect(matesOf({ options, prefix: 'warm/' })).toHaveLength(1);
  });

  it('tells of unfinished uploads below its prefix, which sweep ends when they are old', async () => {
    const at = { Bucket: 'parts', Key: 'a/objects/one' };
    const { UploadId } = await gateway.client.send(new CreateMultipartUploadCommand(at));
    await gateway.client.send(new UploadPartCommand({ ...at, UploadId, PartNumber: 1, Body: 'left over' }));
    await gateway.client.send(new CreateMultipartUploadCommand({ Bucket: 'parts', Key: 'b/objects/two' }));
    const options = { bucket: 'parts', prefix: 'a' };
    expect((await results(options)).get('unfinished uploads')).toMatchObject({
      status: 'ok',
      message: expect.stringMatching(/^1, /),
    });

    const sink = await makeSink(optionsFor(gateway, options));
    const later = {
      ...context,
      scratch: () => context.scratch(),
      clock: { ...context.clock, now: () => new Date(Date.now() + 8 * 86_400_000) },
    };
    const old = (await Array.fromAsync(sink.check(later))).find(({ name }) => name === 'unfinished uploads');
    expect(old).toMatchObject({ status: 'warning', hint: expect.stringContaining('prune') });
    expect(await sink.sweep!('', new Date(Date.now() - 60_000), context)).toBe(0);
    expect(await sink.sweep!('other', new Date(Date.now() + 60_000), context)).toBe(0);
    expect(await sink.sweep!('objects/', new Date(Date.now() + 60_000), context)).toBe(1);
    await sink.close();
    const { Uploads = [] } = await gateway.client.send(new ListMultipartUploadsCommand({ Bucket: 'parts' }));
    expect(Uploads.map(({ Key }) => Key)).toEqual(['b/objects/two']);
  });

  it('asks for no right that backups do not need, and gives what the policy of a bucket demands', async () => {
    const meddler = await startMeddler(gateway.endpoint);
    meddler.decide = ({ method, url, headers }) => {
      const refused = { status: 403, code: 'AccessDenied' };
      if (method === 'GET' && /[?&](uploads|lifecycle|versioning|object-lock)\b/.test(url!)) return refused;
      const begins = method === 'POST' && /[?&]uploads\b/.test(url!);
      return begins && headers['x-amz-server-side-encryption'] === undefined ? refused : 'pass';
    };
    const options = { endpoint: meddler.endpoint, encryption: 'aws:kms', kmsKey: 'testkey-1' } as const;
    const found = await results(options);
    expect([...found.values()].map(({ name, status }) => [name, status])).toEqual([
      ['write access', 'ok'],
      ['create-only', 'ok'],
      ['unfinished uploads', 'warning'],
      ['lifecycle', 'warning'],
    ]);
    expect(found.get('unfinished uploads')).toMatchObject({ hint: expect.stringMatching(/policy/) });
    await meddler.stop();
  });

  it('names the one object that a lock keeps, and knows what the bucket locks by itself', async () => {
    const at = { Bucket: 'locked', ObjectLockConfiguration: { ObjectLockEnabled: 'Enabled' } } as const;
    expect(
      (await results({ bucket: 'locked', objectLock: { mode: 'bucket' } })).get('object lock'),
    ).toMatchObject({ status: 'failed' });
    const ours = await results({ bucket: 'locked', objectLock: { mode: 'GOVERNANCE', days: 1 } });
    expect(ours.get('object lock')).toMatchObject({
      status: 'ok',
      message: expect.stringContaining('GOVERNANCE for 1 days'),
    });
    expect(ours.get('removal')).toMatchObject({
      status: 'ok',
      message: expect.stringMatching(/^pgsilo-check-\S+, which .* retained until 20\d\d-/),
    });
    const Rule = { DefaultRetention: { Mode: 'GOVERNANCE', Days: 2 } } as const;
    const ObjectLockConfiguration = { ...at.ObjectLockConfiguration, Rule };
    await gateway.client.send(new PutObjectLockConfigurationCommand({ ...at, ObjectLockConfiguration }));
    const theirs = await results({ bucket: 'locked', objectLock: { mode: 'bucket' } });
    expect(theirs.get('object lock')).toMatchObject({
      status: 'ok',
      message: expect.stringContaining('GOVERNANCE for 2 days'),
    });
    const short = await results({ bucket: 'locked', objectLock: { mode: 'bucket' } }, 30);
    expect(short.get('object lock')).toMatchObject({
      status: 'warning',
      message: expect.stringMatching(/2 days.* 30/),
    });
    expect(theirs.get('removal')).toMatchObject({
      status: 'ok',
      message: expect.stringContaining('retained until'),
    });
    expect(
      (await results({ objectLock: { mode: 'GOVERNANCE', days: 1 } })).get('write access'),
    ).toMatchObject({ status: 'failed' });
  });
});
