import { describe, expect, test } from 'vitest';
import { fixture, makeProject } from './project.ts';

const base = `
source:
  use: databases
  connection: \${env:BASE_DB}
  fingerprint: content
sinks:
  - { use: folder, path: /from-base }
limits: { jobs: 2, attempts: 7 }
labels: { a: base, b: base }
`;

describe('extends', () => {
  test('merges maps by key and replaces lists', async () => {
    const project = await makeProject({ DB: 'service=own' });
    await project.write({ 'shared/base.yaml': base });
    const pipeline = await project.load(`
pipeline: shop
extends: ./shared/base.yaml
source: { connection: "\${env:DB}" }
limits: { jobs: 4 }
labels: { b: own }
sinks: [{ use: folder, path: /own }]
`);
    // The base's own connection is replaced: that its variable is unset does not matter.
    expect(pipeline.source.options).toMatchObject({ fingerprint: 'content' });
    expect(pipeline.limits).toMatchObject({ jobs: 4, attempts: 7 });
    expect(pipeline.labels).toEqual({ a: 'base', b: 'own' });
    expect(pipeline.sinks.map((sink) => sink.options)).toEqual([{ path: '/own' }]);
    expect(pipeline.folder).toBe(project.folder);
  });

  test('takes a list, later ones win; one file may come twice', async () => {
    const project = await makeProject({ ENVIRONMENT: 'staging' });
    await project.write({
      'base.yaml':
        'pipeline: shop\nsource: { use: databases, connection: x }\nsinks: [{ use: folder, path: /b }]\n',
      'one.yaml': 'extends: base.yaml\nlabels: { x: one, y: one }\n',
      'two.yaml': 'extends: base.yaml\nlabels: { x: two }\n',
      'staging.yaml': 'labels: { environment: staging }\n',
    });
    const { labels } = await project.load('extends: [one.yaml, two.yaml, "${env:ENVIRONMENT}.yaml"]\n');
    expect(labels).toEqual({ x: 'two', y: 'one', environment: 'staging' });
  });

  test('does not mix the options of two plugins', async () => {
    const project = await makeProject({ BASE_DB: 'x' });
    await project.write({
      'base.yaml': base,
      'node_modules/@pgsilo/source-other/package.json': '{"type":"module","exports":"./index.js"}',
      'node_modules/@pgsilo/source-other/index.js': fixture('source-databases'),
    });
    const pipeline = await project.load(
      'pipeline: shop\nextends: base.yaml\nsource: { use: other, connection: y }\n',
    );
    expect(pipeline.source.options).toMatchObject({ fingerprint: 'counts' });
  });

  test('resolves files against the folder of the file that names them', async () => {
    const project = await makeProject();
    await project.write({
      'shared/base.yaml':
        'source: { use: databases, connection: "${file:password.txt}" }\nsinks: [{ use: ./mine.js, path: /b }]\n',
      'shared/password.txt': 'shared-password',
      'password.txt': 'own-password',
      'shared/mine.js': fixture('sink-folder'),
      'shared/package.json': '{"type":"module"}',
    });
    const pipeline = await project.load('pipeline: shop\nextends: shared/base.yaml\n');
    expect((pipeline.source.options['connection'] as { reveal(): string }).reveal()).toBe('shared-password');
    expect(pipeline.sinks[0]!.use).toBe('./mine.js');
  });

  test('reports a mistake in the file that made it', async () => {
    const project = await makeProject({ BASE_DB: 'x' });
    await project.write({
      'shared/base.yaml': `${base}checks: {}\n`.replace('attempts: 7', 'atempts: 7, memory: 5'),
    });
    const text = await project.mistakes(
      'pipeline: Shop\nextends: shared/base.yaml\nlimits: { jobs: none }\n',
    );
    expect(text).toMatchInlineSnapshot(`
      "shared/base.yaml:8:20 limits.atempts: unknown option "atempts"
         6 | sinks:
         7 |   - { use: folder, path: /from-base }
      >  8 | limits: { jobs: 2, atempts: 7, memory: 5 }
           |                    ^^^^^^^
         9 | labels: { a: base, b: base }
        10 | checks: {}
        did you mean "attempts"?

      shared/base.yaml:8:40 limits.memory: expected text, not the number 5
         6 | sinks:
         7 |   - { use: folder, path: /from-base }
      >  8 | limits: { jobs: 2, atempts: 7, memory: 5 }
           |                                        ^
         9 | labels: { a: base, b: base }
        10 | checks: {}
        Memory for everything in flight together; for example memory: 512MB

      shared/base.yaml:10:9 checks: expected a list, not options
         8 | limits: { jobs: 2, atempts: 7, memory: 5 }
         9 | labels: { a: base, b: base }
      > 10 | checks: {}
           |         ^^

      shop.yaml:1:11 pipeline: expected a name of lower-case letters, digits, - and _, beginning with a letter, at most 60: it becomes part of every key in the sinks
      > 1 | pipeline: Shop
          |           ^^^^
        2 | extends: shared/base.yaml
        3 | limits: { jobs: none }

      shop.yaml:3:17 limits.jobs: expected a number, not "none"
        1 | pipeline: Shop
        2 | extends: shared/base.yaml
      > 3 | limits: { jobs: none }
          |                 ^^^^"
    `);
  });

  test('reports circles with their chain', async () => {
    const project = await makeProject();
    await project.write({
      'a.yaml': 'extends: sub/b.yaml\n',
      'sub/b.yaml': 'pipeline: b\nextends:\n  - ../a.yaml\n',
    });
    const text = await project.mistakes('pipeline: shop\nextends: a.yaml\n');
    expect(text).toMatchInlineSnapshot(`
      "sub/b.yaml:3:5 extends: the files extend each other in a circle: a.yaml → sub/b.yaml → a.yaml
        1 | pipeline: b
        2 | extends:
      > 3 |   - ../a.yaml
          |     ^^^^^^^^^"
    `);
    expect(await project.mistakes('extends: shop.yaml\n')).toContain('in a circle: shop.yaml → shop.yaml');
  });

  test('reports what cannot be read, of several files all', async () => {
    const project = await makeProject({ SECRET_NAME: 'unspoken' });
    await project.write({ 'broken.yaml': 'a: [\n', 'empty.yaml': '' });
    const text = await project.mistakes(`pipeline: shop
extends:
  - missing.yaml
  - broken.yaml
  - empty.yaml
  - "\${env:SECRET_NAME}.yaml"
  - { use: x }
  - 5
`);
    expect(text).not.toContain('unspoken');
    expect(text).toMatchInlineSnapshot(`
      "shop.yaml:3:5 extends: "missing.yaml" cannot be read: there is no such file
        1 | pipeline: shop
        2 | extends:
      > 3 |   - missing.yaml
          |     ^^^^^^^^^^^^
        4 |   - broken.yaml
        5 |   - empty.yaml

      shop.yaml:6:5 extends: "\${env:SECRET_NAME}.yaml" cannot be read: there is no such file
        4 |   - broken.yaml
        5 |   - empty.yaml
      > 6 |   - "\${env:SECRET_NAME}.yaml"
          |     ^^^^^^^^^^^^^^^^^^^^^^^^^
        7 |   - { use: x }
        8 |   - 5

      shop.yaml:7:5 extends: expected the path of a file, or a list of paths
        5 |   - empty.yaml
        6 |   - "\${env:SECRET_NAME}.yaml"
      > 7 |   - { use: x }
          |     ^^^^^^^^^^
        8 |   - 5
        extends: ./base.yaml

      shop.yaml:8:5 extends: expected the path of a file, or a list of paths
        6 |   - "\${env:SECRET_NAME}.yaml"
        7 |   - { use: x }
      > 8 |   - 5
          |     ^
        extends: ./base.yaml

      broken.yaml:1:4 a { or [ before this is not closed
      > 1 | a: [
          |    ^
        add the closing } or ], or indent the lines inside it

      empty.yaml:1:1 the file is empty"
    `);
  });
});
