import path from 'node:path';
import type { Secret } from '@pgsilo/plugin';
import { describe, expect, test } from 'vitest';
import { formatMistakes, loadPipeline } from '../src/index.ts';
import { fixturePath, makeProject } from './project.ts';

const whole = `# yaml-language-server: $schema=./schema.json
pipeline: shop
timezone: Europe/Berlin
scratch: /var/tmp/pgsilo
source:
  use: databases
  connection: \${env:DB}
  units: [acme, "0815"]
transforms:
  - { use: squeeze, level: 9 }
sinks:
  - { use: folder, path: backups }
  - use: bucket
    name: offsite
    required: false
    bucket: acme-backups
    secretKey: \${file:key.txt}
    partSize: 32MiB
limits: { jobs: 2, memory: 1GB, attempts: 5, backoff: 500ms, jobTimeout: 6h }
labels: { environment: production }
hooks:
  before-swap: [{ run: [systemctl, stop, "\${env:APP}"], timeout: 1m }]
  after-swap: [{ run: [./start], env: [APP] }]
`;

const least = `
pipeline: shop
source: { use: databases, connection: postgres:///shop }
sinks: [{ use: folder, path: /b }]
`;

describe('a pipeline that is right', () => {
  test('comes with everything parsed', async () => {
    const project = await makeProject({ DB: 'postgres://backup@db/shop', APP: 'app.service' });
    await project.write({ 'key.txt': 'abcdefghij\n' });
    const pipeline = await project.load(whole);

    expect(pipeline).toMatchObject({
      name: 'shop',
      file: path.join(project.folder, 'shop.yaml'),
      folder: project.folder,
      timezone: 'Europe/Berlin',
      scratch: '/var/tmp/pgsilo',
      limits: { jobs: 2, memory: 1e9, attempts: 5, backoff: 500, jobTimeout: 6 * 3_600_000 },
      labels: { environment: 'production' },
      hooks: {
        'before-swap': [{ run: ['systemctl', 'stop', 'app.service'], timeout: 60_000, env: [] }],
        'after-swap': [{ run: ['./start'], timeout: 300_000, env: ['APP'] }],
      },
      warnings: [],
    });
    const { source, transforms, sinks } = pipeline;
    expect(source.use).toBe('databases');
    expect(source.definition.kind).toBe('source');
    expect(source.options).toMatchObject({ units: ['acme', '0815'], fingerprint: 'counts' });
    expect((source.options['connection'] as Secret).reveal()).toBe('postgres://backup@db/shop');
    expect(transforms.map((each) => [each.definition.name, each.options])).toEqual([
      ['squeeze', { level: 9, checksum: true }],
    ]);
    expect(sinks.map(({ name, required, use }) => ({ name, required, use }))).toEqual([
      { name: 'folder', required: true, use: 'folder' },
      { name: 'offsite', required: false, use: 'bucket' },
    ]);
    expect(sinks[1]!.options).toMatchObject({ bucket: 'acme-backups', partSize: 32 * 2 ** 20 });
    expect((sinks[1]!.options['secretKey'] as Secret).reveal()).toBe('abcdefghij');
  });

  test('needs little', async () => {
    const project = await makeProject();
    const pipeline = await project.load(least);
    expect(pipeline.limits).toEqual({ memory: 512_000_000, attempts: 3, backoff: 5000 });
    expect(pipeline.transforms).toEqual([]);
    expect(pipeline.labels).toEqual({});
    expect(pipeline).not.toHaveProperty('timezone');
    expect(pipeline).not.toHaveProperty('scratch');
  });

  test('may be JSON, with tabs', async () => {
    const project = await makeProject();
    const text = JSON.stringify(
      {
        pipeline: 'shop',
        source: { use: 'databases', connection: 'service=shop' },
        sinks: [{ use: 'folder', path: '/b' }],
      },
      undefined,
      '\t',
    );
    await project.write({ 'shop.json': text });
    const pipeline = await loadPipeline(path.join(project.folder, 'shop.json'), project.options);
    expect(pipeline.sinks[0]!.options).toEqual({ path: '/b' });
  });

  test('may use anchors, aliases, merge keys and x- keys', async () => {
    const project = await makeProject();
    const { sinks } = await project.load(`
x-bucket: &bucket { use: bucket, storageClass: GLACIER, tags: &tags { team: db } }
x-eu: &eu { endpoint: "https://eu.example.org", storageClass: STANDARD }
pipeline: shop
source: { use: databases, connection: service=shop }
sinks:
  - { <<: *bucket, name: one, bucket: one }
  - { <<: [*eu, *bucket], name: two, bucket: two, tags: { <<: *tags, zone: eu } }
`);
    expect(sinks.map((sink) => sink.options)).toMatchObject([
      { bucket: 'one', storageClass: 'GLACIER', tags: { team: 'db' } },
      { bucket: 'two', storageClass: 'STANDARD', endpoint: 'https://eu.example.org' },
    ]);
    expect(sinks[1]!.options['tags']).toEqual({ team: 'db', zone: 'eu' });
  });

  test('takes a plugin from a file', async () => {
    const project = await makeProject();
    const use = JSON.stringify(fixturePath('sink-folder'));
    const pipeline = await project.load(least.replace('use: folder', `use: ${use}`));
    expect(pipeline.sinks[0]).toMatchObject({ name: 'folder', options: { path: '/b' } });
  });

  test('has its warnings', async () => {
    const project = await makeProject();
    const { warnings, scratch } = await project.load(`
pipeline: shop
scratch: tmp
source: { use: databases, connection: service=shop }
sinks:
  - { use: folder, path: /b }
  - { use: folder, path: /c, name: second }
  - { use: folder, path: /b, name: third, required: false }
`);
    expect(scratch).toBe(path.join(project.folder, 'tmp'));
    const text = formatMistakes(warnings, { color: false }).replaceAll(`${project.folder}/`, '');
    expect(text).toMatchInlineSnapshot(`
      "shop.yaml:3:10 scratch: a relative path counts from the folder of the pipeline file: it is "tmp"
        1 |
        2 | pipeline: shop
      > 3 | scratch: tmp
          |          ^^^
        4 | source: { use: databases, connection: [secret] }
        5 | sinks:
        write the absolute path, and choose a disk that has room for the largest backup

      shop.yaml:8:12 sinks[2]: this is the same place as sinks[0]
        6 |   - { use: folder, path: /b }
        7 |   - { use: folder, path: /c, name: second }
      > 8 |   - { use: folder, path: /b, name: third, required: false }
          |            ^^^^^^
        two sinks are worth something when they fail apart"
    `);
  });
});
