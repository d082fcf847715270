import { symlink } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadPipeline, PipelineFileError } from '../src/index.ts';
import { fixturePath, makeProject } from './project.ts';

const source = 'source: { use: databases, connection: service=shop }';
const sinks = 'sinks: [{ use: folder, path: /b }]';

describe('every mistake is told at once, with its place and what to do', () => {
  test('in the fixed part', async () => {
    const project = await makeProject();
    const text = await project.mistakes(`pipelin: Shop
source: databases
transforms:
sinks: []
checks: { last: 3 }
hooks: []
jobs: 4
limits: { jobs: 0, memory: 1kB, attempts: 2.5, jobTimeout: 30d, atempts: 3 }
timezone: Europe/Berln
labels: { "a b": x, version: 1.10 }
scratch: ~/tmp
`);
    expect(text).toMatchInlineSnapshot(`
      "shop.yaml:1:1 pipelin: unknown option "pipelin"
      > 1 | pipelin: Shop
          | ^^^^^^^
        2 | source: databases
        3 | transforms:
        did you mean "pipeline"?

      shop.yaml:2:9 source: expected options, not "databases"
        1 | pipelin: Shop
      > 2 | source: databases
          |         ^^^^^^^^^
        3 | transforms:
        4 | sinks: []
        write { use: "databases" }

      shop.yaml:3:1 transforms: there is no value
        1 | pipelin: Shop
        2 | source: databases
      > 3 | transforms:
          | ^^^^^^^^^^
        4 | sinks: []
        5 | checks: { last: 3 }
        Applied in this order: compress first, then encrypt; for example transforms: [{"use":"zstd"}]

      shop.yaml:4:8 sinks: expected at least one entry
        2 | source: databases
        3 | transforms:
      > 4 | sinks: []
          |        ^^
        5 | checks: { last: 3 }
        6 | hooks: []

      shop.yaml:5:9 checks: expected a list, not options
        3 | transforms:
        4 | sinks: []
      > 5 | checks: { last: 3 }
          |         ^^^^^^^^^^^
        6 | hooks: []
        7 | jobs: 4

      shop.yaml:6:8 hooks: expected options, not a list
        4 | sinks: []
        5 | checks: { last: 3 }
      > 6 | hooks: []
          |        ^^
        7 | jobs: 4
        8 | limits: { jobs: 0, memory: 1kB, attempts: 2.5, jobTimeout: 30d, atempts: 3 }

      shop.yaml:7:1 jobs: unknown option "jobs"
        5 | checks: { last: 3 }
        6 | hooks: []
      > 7 | jobs: 4
          | ^^^^
        8 | limits: { jobs: 0, memory: 1kB, attempts: 2.5, jobTimeout: 30d, atempts: 3 }
        9 | timezone: Europe/Berln
        it belongs under "limits"

      shop.yaml:8:17 limits.jobs: expected at least 1
         6 | hooks: []
         7 | jobs: 4
      >  8 | limits: { jobs: 0, memory: 1kB, attempts: 2.5, jobTimeout: 30d, atempts: 3 }
           |                 ^
         9 | timezone: Europe/Berln
        10 | labels: { "a b": x, version: 1.10 }

      shop.yaml:8:28 limits.memory: expected at least 64MB
         6 | hooks: []
         7 | jobs: 4
      >  8 | limits: { jobs: 0, memory: 1kB, attempts: 2.5, jobTimeout: 30d, atempts: 3 }
           |                            ^^^
         9 | timezone: Europe/Berln
        10 | labels: { "a b": x, version: 1.10 }

      shop.yaml:8:43 limits.attempts: expected a whole number, not the number 2.5
         6 | hooks: []
         7 | jobs: 4
      >  8 | limits: { jobs: 0, memory: 1kB, attempts: 2.5, jobTimeout: 30d, atempts: 3 }
           |                                           ^^^
         9 | timezone: Europe/Berln
        10 | labels: { "a b": x, version: 1.10 }

      shop.yaml:8:60 limits.jobTimeout: expected a duration between 1s and 24d
         6 | hooks: []
         7 | jobs: 4
      >  8 | limits: { jobs: 0, memory: 1kB, attempts: 2.5, jobTimeout: 30d, atempts: 3 }
           |                                                            ^^^
         9 | timezone: Europe/Berln
        10 | labels: { "a b": x, version: 1.10 }

      shop.yaml:8:65 limits.atempts: unknown option "atempts"
         6 | hooks: []
         7 | jobs: 4
      >  8 | limits: { jobs: 0, memory: 1kB, attempts: 2.5, jobTimeout: 30d, atempts: 3 }
           |                                                                 ^^^^^^^
         9 | timezone: Europe/Berln
        10 | labels: { "a b": x, version: 1.10 }
        did you mean "attempts"? That is given already

      shop.yaml:9:11 timezone: this time zone is not known
         7 | jobs: 4
         8 | limits: { jobs: 0, memory: 1kB, attempts: 2.5, jobTimeout: 30d, atempts: 3 }
      >  9 | timezone: Europe/Berln
           |           ^^^^^^^^^^^^
        10 | labels: { "a b": x, version: 1.10 }
        11 | scratch: ~/tmp
        did you mean "Europe/Berlin"?

      shop.yaml:10:11 labels["a b"]: expected letters, digits, _ . and -, at most 63
         8 | limits: { jobs: 0, memory: 1kB, attempts: 2.5, jobTimeout: 30d, atempts: 3 }
         9 | timezone: Europe/Berln
      > 10 | labels: { "a b": x, version: 1.10 }
           |           ^^^^^
        11 | scratch: ~/tmp

      shop.yaml:10:30 labels.version: expected text, not the number 1.1
         8 | limits: { jobs: 0, memory: 1kB, attempts: 2.5, jobTimeout: 30d, atempts: 3 }
         9 | timezone: Europe/Berln
      > 10 | labels: { "a b": x, version: 1.10 }
           |                              ^^^^
        11 | scratch: ~/tmp
        put it in quotes: "1.10"

      shop.yaml:11:10 scratch: "~" is not filled in here: write \${env:HOME}
         9 | timezone: Europe/Berln
        10 | labels: { "a b": x, version: 1.10 }
      > 11 | scratch: ~/tmp
           |          ^^^^^"
    `);
  });

  test("in a plugin's options", async () => {
    const project = await makeProject();
    const text = await project.mistakes(`pipeline: shop
source:
  use: databases
  conection: service=shop
  units: { database: 0815, quer: SELECT 1 }
  fingerprint: count
  lockTimeout: 5
transforms:
  - { use: squeeze, level: high, checksum: yes }
  - { use: squeeze, level: 20 }
sinks:
  - use: bucket
    storage_class: STANDARD_IA
    storageClass: STANDARD
    encryption: { mode: kmss }
    partSize: 64
    parallel: 99
    endpoint: nope
    tags: [a]
  - use: folder
    required: "no"
    path:
`);
    expect(text).toMatchInlineSnapshot(`
      "shop.yaml:4:3 source.conection: unknown option "conection"
        2 | source:
        3 |   use: databases
      > 4 |   conection: [secret]
          |   ^^^^^^^^^
        5 |   units: { database: 0815, quer: SELECT 1 }
        6 |   fingerprint: count
        did you mean "connection"?

      shop.yaml:5:22 source.units.database: expected text, not the number 815
        3 |   use: databases
        4 |   conection: [secret]
      > 5 |   units: { database: 0815, quer: SELECT 1 }
          |                      ^^^^
        6 |   fingerprint: count
        7 |   lockTimeout: 5
        put it in quotes: "0815"

      shop.yaml:5:28 source.units.quer: unknown option "quer"
        3 |   use: databases
        4 |   conection: [secret]
      > 5 |   units: { database: 0815, quer: SELECT 1 }
          |                            ^^^^
        6 |   fingerprint: count
        7 |   lockTimeout: 5
        did you mean "query"?

      shop.yaml:6:16 source.fingerprint: expected one of "counts", "content", "none", not "count"
        4 |   conection: [secret]
        5 |   units: { database: 0815, quer: SELECT 1 }
      > 6 |   fingerprint: count
          |                ^^^^^
        7 |   lockTimeout: 5
        8 | transforms:
        did you mean "counts"?

      shop.yaml:7:16 source.lockTimeout: expected text, not the number 5
        5 |   units: { database: 0815, quer: SELECT 1 }
        6 |   fingerprint: count
      > 7 |   lockTimeout: 5
          |                ^
        8 | transforms:
        9 |   - { use: squeeze, level: high, checksum: yes }
        Longest wait for a lock; for example lockTimeout: 30s

      shop.yaml:9:28 transforms[0].level: expected a number, not "high"
         7 |   lockTimeout: 5
         8 | transforms:
      >  9 |   - { use: squeeze, level: high, checksum: yes }
           |                            ^^^^
        10 |   - { use: squeeze, level: 20 }
        11 | sinks:

      shop.yaml:9:44 transforms[0].checksum: expected true or false, not "yes"
         7 |   lockTimeout: 5
         8 | transforms:
      >  9 |   - { use: squeeze, level: high, checksum: yes }
           |                                            ^^^
        10 |   - { use: squeeze, level: 20 }
        11 | sinks:
        write true

      shop.yaml:10:28 transforms[1].level: expected at most 19
         8 | transforms:
         9 |   - { use: squeeze, level: high, checksum: yes }
      > 10 |   - { use: squeeze, level: 20 }
           |                            ^^
        11 | sinks:
        12 |   - use: bucket

      shop.yaml:12:5 sinks[0].bucket: the option "bucket" is missing
        10 |   - { use: squeeze, level: 20 }
        11 | sinks:
      > 12 |   - use: bucket
           |     ^^^^^^^^^^^
        13 |     storage_class: STANDARD_IA
        14 |     storageClass: STANDARD
        Name of the bucket; for example bucket: acme-backups

      shop.yaml:13:5 sinks[0].storage_class: unknown option "storage_class"
        11 | sinks:
        12 |   - use: bucket
      > 13 |     storage_class: STANDARD_IA
           |     ^^^^^^^^^^^^^
        14 |     storageClass: STANDARD
        15 |     encryption: { mode: kmss }
        did you mean "storageClass"? That is given already

      shop.yaml:15:25 sinks[0].encryption.mode: expected "none" or "kms", not "kmss"
        13 |     storage_class: STANDARD_IA
        14 |     storageClass: STANDARD
      > 15 |     encryption: { mode: kmss }
           |                         ^^^^
        16 |     partSize: 64
        17 |     parallel: 99
        did you mean "kms"?

      shop.yaml:16:15 sinks[0].partSize: expected text, not the number 64
        14 |     storageClass: STANDARD
        15 |     encryption: { mode: kmss }
      > 16 |     partSize: 64
           |               ^^
        17 |     parallel: 99
        18 |     endpoint: nope
        Size of a part; for example partSize: 64MiB

      shop.yaml:17:15 sinks[0].parallel: expected at most 16
        15 |     encryption: { mode: kmss }
        16 |     partSize: 64
      > 17 |     parallel: 99
           |               ^^
        18 |     endpoint: nope
        19 |     tags: [a]

      shop.yaml:18:15 sinks[0].endpoint: expected a URL such as https://example.org
        16 |     partSize: 64
        17 |     parallel: 99
      > 18 |     endpoint: nope
           |               ^^^^
        19 |     tags: [a]
        20 |   - use: folder

      shop.yaml:19:11 sinks[0].tags: expected names with values, not a list
        17 |     parallel: 99
        18 |     endpoint: nope
      > 19 |     tags: [a]
           |           ^^^
        20 |   - use: folder
        21 |     required: "no"

      shop.yaml:21:15 sinks[1].required: expected true or false, not "no"
        19 |     tags: [a]
        20 |   - use: folder
      > 21 |     required: "no"
           |               ^^^^
        22 |     path:

      shop.yaml:22:5 sinks[1].path: there is no value
        20 |   - use: folder
        21 |     required: "no"
      > 22 |     path:
           |     ^^^^
        The folder; for example path: /var/backups"
    `);
  });

  test('when a file is empty of what it needs', async () => {
    const project = await makeProject();
    expect(await project.mistakes('labels: {}\n')).toMatchInlineSnapshot(`
      "shop.yaml:1:1 pipeline: the option "pipeline" is missing
      > 1 | labels: {}
          | ^^^^^^^^^^
        Name of the pipeline; part of every key in the sinks; for example pipeline: my-tenants

      shop.yaml:1:1 source: the option "source" is missing
      > 1 | labels: {}
          | ^^^^^^^^^^
        Where the tenants live and how they are read; the options are those of the plugin; for example source: {"use":"database-per-tenant"}

      shop.yaml:1:1 sinks: the option "sinks" is missing
      > 1 | labels: {}
          | ^^^^^^^^^^
        Where backups go; each gets all of them, but for those with \`accept\`; for example sinks: [{"use":"local","path":"/var/backups"}]"
    `);
  });

  test('in choices', async () => {
    const project = await makeProject();
    const text = await project.mistakes(`pipeline: shop
source: { use: databases, connection: service=shop, units: some }
sinks:
  - { use: bucket, bucket: abc, parallel: maximal, encryption: { mode: kms } }
  - { use: bucket, bucket: abc, name: b, parallel: [1], encryption: {} }
  - { use: bucket, bucket: abc, name: c, storageClass: GLACIER, encryption: { mode: kms, keyId: abc } }
`);
    expect(text).toMatchInlineSnapshot(`
      "shop.yaml:2:60 source.units: expected options or a list or "all", not "some"
        1 | pipeline: shop
      > 2 | source: { use: databases, connection: [secret], units: some }
          |                                                        ^^^^
        3 | sinks:
        4 |   - { use: bucket, bucket: abc, parallel: maximal, encryption: { mode: kms } }

      shop.yaml:4:43 sinks[0].parallel: expected a number or "auto", not "maximal"
        2 | source: { use: databases, connection: [secret], units: some }
        3 | sinks:
      > 4 |   - { use: bucket, bucket: abc, parallel: maximal, encryption: { mode: kms } }
          |                                           ^^^^^^^
        5 |   - { use: bucket, bucket: abc, name: b, parallel: [1], encryption: {} }
        6 |   - { use: bucket, bucket: abc, name: c, storageClass: GLACIER, encryption: { mode: kms, keyId: [secret] …

      shop.yaml:4:64 sinks[0].encryption.keyId: the option "keyId" is missing
        2 | source: { use: databases, connection: [secret], units: some }
        3 | sinks:
      > 4 |   - { use: bucket, bucket: abc, parallel: maximal, encryption: { mode: kms } }
          |                                                                ^^^^^^^^^^^^^
        5 |   - { use: bucket, bucket: abc, name: b, parallel: [1], encryption: {} }
        6 |   - { use: bucket, bucket: abc, name: c, storageClass: GLACIER, encryption: { mode: kms, keyId: [secret] …
        Key

      shop.yaml:5:52 sinks[1].parallel: expected a number or "auto", not a list
        3 | sinks:
        4 |   - { use: bucket, bucket: abc, parallel: maximal, encryption: { mode: kms } }
      > 5 |   - { use: bucket, bucket: abc, name: b, parallel: [1], encryption: {} }
          |                                                    ^^^
        6 |   - { use: bucket, bucket: abc, name: c, storageClass: GLACIER, encryption: { mode: kms, keyId: [secret] …

      shop.yaml:5:69 sinks[1].encryption.mode: the option "mode" is missing
        3 | sinks:
        4 |   - { use: bucket, bucket: abc, parallel: maximal, encryption: { mode: kms } }
      > 5 |   - { use: bucket, bucket: abc, name: b, parallel: [1], encryption: {} }
          |                                                                     ^^
        6 |   - { use: bucket, bucket: abc, name: c, storageClass: GLACIER, encryption: { mode: kms, keyId: [secret] …

      shop.yaml:6:77 sinks[2].encryption: GLACIER knows no keys here
        4 |   - { use: bucket, bucket: abc, parallel: maximal, encryption: { mode: kms } }
        5 |   - { use: bucket, bucket: abc, name: b, parallel: [1], encryption: {} }
      > 6 |   - { use: bucket, bucket: abc, name: c, storageClass: GLACIER, encryption: { mode: kms, keyId: [secret] …
          |                                                                             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^"
    `);
  });

  test('about plugins', async () => {
    const project = await makeProject();
    for (const name of ['throws-on-import', 'no-plugin', 'transform-squeeze', 'check-throws']) {
      await symlink(fixturePath(name), path.join(project.folder, `${name}.ts`));
    }
    const text = await project.mistakes(`pipeline: shop
source: { use: database, connection: service=shop }
transforms:
  - { use: folder }
  - { use: }
  - { level: 3 }
  - use: [squeeze]
sinks:
  - { use: zip }
  - { use: ./missing.ts }
  - { use: fs }
  - { use: "../../etc\\nx" }
  - { use: "./throws-on-import.ts" }
  - { use: "./no-plugin.ts" }
  - { use: "./transform-squeeze.ts" }
  - { use: "./check-throws.ts", path: /secret-looking }
`);
    expect(text).toMatchInlineSnapshot(`
      "shop.yaml:2:16 source.use: there is no source "database"
        1 | pipeline: shop
      > 2 | source: { use: database, connection: [secret] }
          |                ^^^^^^^^
        3 | transforms:
        4 |   - { use: folder }
        did you mean "databases"?

      shop.yaml:4:12 transforms[0].use: "folder" is a sink, not a transform
        2 | source: { use: database, connection: [secret] }
        3 | transforms:
      > 4 |   - { use: folder }
          |            ^^^^^^
        5 |   - { use: }
        6 |   - { level: 3 }
        it belongs under sinks:

      shop.yaml:5:7 transforms[1].use: there is no value
        3 | transforms:
        4 |   - { use: folder }
      > 5 |   - { use: }
          |       ^^^
        6 |   - { level: 3 }
        7 |   - use: [squeeze]
        The plugin: its name, a package, or a file as ./my-plugin.ts; for example use: local

      shop.yaml:6:5 transforms[2].use: the option "use" is missing
        4 |   - { use: folder }
        5 |   - { use: }
      > 6 |   - { level: 3 }
          |     ^^^^^^^^^^^^
        7 |   - use: [squeeze]
        8 | sinks:
        The plugin: its name, a package, or a file as ./my-plugin.ts; for example use: local

      shop.yaml:7:10 transforms[3].use: expected text, not a list
        5 |   - { use: }
        6 |   - { level: 3 }
      > 7 |   - use: [squeeze]
          |          ^^^^^^^^^
        8 | sinks:
        9 |   - { use: zip }

      shop.yaml:9:12 sinks[0].use: there is no sink "zip"
         7 |   - use: [squeeze]
         8 | sinks:
      >  9 |   - { use: zip }
           |            ^^^
        10 |   - { use: ./missing.ts }
        11 |   - { use: fs }
        every sink that comes with pgsilo: "bucket", "folder"; others are npm packages that you install, or files: use: ./my-plugin.ts

      shop.yaml:10:12 sinks[1].use: there is no file "./missing.ts"
         8 | sinks:
         9 |   - { use: zip }
      > 10 |   - { use: ./missing.ts }
           |            ^^^^^^^^^^^^
        11 |   - { use: fs }
        12 |   - { use: "../../etc\\nx" }
        the path counts from the folder of the file that names it

      shop.yaml:11:12 sinks[2].use: there is no sink "fs"
         9 |   - { use: zip }
        10 |   - { use: ./missing.ts }
      > 11 |   - { use: fs }
           |            ^^
        12 |   - { use: "../../etc\\nx" }
        13 |   - { use: "./throws-on-import.ts" }
        every sink that comes with pgsilo: "bucket", "folder"; others are npm packages that you install, or files: use: ./my-plugin.ts

      shop.yaml:12:12 sinks[3].use: there is no file "../../etc�x"
        10 |   - { use: ./missing.ts }
        11 |   - { use: fs }
      > 12 |   - { use: "../../etc\\nx" }
           |            ^^^^^^^^^^^^^^
        13 |   - { use: "./throws-on-import.ts" }
        14 |   - { use: "./no-plugin.ts" }
        the path counts from the folder of the file that names it

      shop.yaml:13:12 sinks[4].use: "./throws-on-import.ts" cannot be imported: the module is broken
        11 |   - { use: fs }
        12 |   - { use: "../../etc\\nx" }
      > 13 |   - { use: "./throws-on-import.ts" }
           |            ^^^^^^^^^^^^^^^^^^^^^^^
        14 |   - { use: "./no-plugin.ts" }
        15 |   - { use: "./transform-squeeze.ts" }

      shop.yaml:14:12 sinks[5].use: "./no-plugin.ts" was found, but its default export is no pgsilo plugin
        12 |   - { use: "../../etc\\nx" }
        13 |   - { use: "./throws-on-import.ts" }
      > 14 |   - { use: "./no-plugin.ts" }
           |            ^^^^^^^^^^^^^^^^
        15 |   - { use: "./transform-squeeze.ts" }
        16 |   - { use: "./check-throws.ts", path: /secret-looking }
        export default definePlugin({ … })

      shop.yaml:15:12 sinks[6].use: "./transform-squeeze.ts" is a transform, not a sink
        13 |   - { use: "./throws-on-import.ts" }
        14 |   - { use: "./no-plugin.ts" }
      > 15 |   - { use: "./transform-squeeze.ts" }
           |            ^^^^^^^^^^^^^^^^^^^^^^^^
        16 |   - { use: "./check-throws.ts", path: /secret-looking }
        it belongs under transforms:

      shop.yaml:16:5 sinks[7]: the plugin's own check of its options failed
        14 |   - { use: "./no-plugin.ts" }
        15 |   - { use: "./transform-squeeze.ts" }
      > 16 |   - { use: "./check-throws.ts", path: /secret-looking }
           |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^"
    `);
  });

  test('about sinks of one name', async () => {
    const project = await makeProject();
    const text = await project.mistakes(`pipeline: shop
${source}
sinks:
  - { use: folder, path: /a }
  - { use: folder, path: /b }
  - { use: bucket, bucket: abc, name: folder }
`);
    expect(text).toMatchInlineSnapshot(`
      "shop.yaml:5:12 sinks[1].use: two sinks are called "folder"
        3 | sinks:
        4 |   - { use: folder, path: /a }
      > 5 |   - { use: folder, path: /b }
          |            ^^^^^^
        6 |   - { use: bucket, bucket: abc, name: folder }
        tell them apart by "name", for example name: offsite

      shop.yaml:6:39 sinks[2].name: two sinks are called "folder"
        4 |   - { use: folder, path: /a }
        5 |   - { use: folder, path: /b }
      > 6 |   - { use: bucket, bucket: abc, name: folder }
          |                                       ^^^^^^
        tell them apart by "name", for example name: offsite"
    `);
  });
});

describe('what is told', () => {
  test('does not hold the shortest secret of the plainest name', async () => {
    const project = await makeProject();
    const text = await project.mistakes(
      `pipeline: shop\n${source}\nsinks: [{ use: bucket, bucket: abc, pin: 7x }]\n`,
    );
    expect(text).not.toContain('7x');
    expect(text).toContain('sinks[0].pin: not digits: [secret]');
    expect(text).toContain('pin: [secret] }]');
  });

  test('includes a misspelt option of a plugin that forgot to be strict', async () => {
    const project = await makeProject();
    const text = await project.mistakes(
      `pipeline: shop\n${source}\nsinks: [{ use: folder, path: /b, pathh: /b }]\n`,
    );
    expect(text).toContain('sinks[0].pathh: unknown option "pathh"');
    expect(text).toContain('did you mean "path"? That is given already');
  });
});

describe('the error', () => {
  test('is a PgsiloError of the code that fits', async () => {
    const project = await makeProject();
    const load = async (text: string): Promise<PipelineFileError> =>
      await project.load(text).then(
        () => expect.fail('accepted'),
        (error: unknown) => error as PipelineFileError,
      );
    const unknown = await load(`pipeline: shop\n${source}\nsinks: [{ use: nothing }]\n`);
    expect(unknown).toBeInstanceOf(PipelineFileError);
    expect([unknown.code, unknown.exit, unknown.retryable]).toEqual(['plugin.unknown', 2, false]);

    const use = JSON.stringify(fixturePath('throws-on-import'));
    const broken = await load(`pipeline: shop\n${source}\nsinks: [{ use: ${use} }]\n`);
    expect(broken.code).toBe('plugin.invalid');
    expect(broken.cause).toMatchObject({ message: 'the module is broken\nin two lines' });

    const both = await load(`pipeline: Shop\n${source}\nsinks: [{ use: nothing }]\n`);
    expect(both.code).toBe('config.invalid');
    expect(both.mistakes.map((mistake) => mistake.code)).toEqual(['config.invalid', 'plugin.unknown']);
    expect(both.message.replace(`${project.folder}/`, '')).toBe(
      'shop.yaml:1:11 pipeline: expected a name of lower-case letters, digits, - and _, beginning with a letter, at most 60: it becomes part of every key in the sinks (and 1 more)',
    );
    expect(both.mistakes[0]).toMatchObject({ line: 1, column: 11, path: 'pipeline' });
  });

  test('names what cannot be read', async () => {
    const project = await makeProject();
    const at = async (name: string): Promise<string> =>
      await loadPipeline(path.join(project.folder, name), project.options).then(
        () => expect.fail('accepted'),
        (error: Error) => error.message.replaceAll(`${project.folder}/`, ''),
      );
    await project.write({ 'empty.yaml': '', 'latin.yaml': Buffer.from([0x61, 0xe9]), 'folder/x': '' });
    expect(await at('missing.yaml')).toMatchInlineSnapshot(
      `"missing.yaml:1:1 "missing.yaml" cannot be read: there is no such file"`,
    );
    expect(await at('folder')).toMatchInlineSnapshot(`"folder:1:1 "folder" cannot be read: it is a folder"`);
    expect(await at('empty.yaml')).toMatchInlineSnapshot(`"empty.yaml:1:1 the file is empty"`);
    expect(await at('latin.yaml')).toMatchInlineSnapshot(
      `"latin.yaml:1:1 "latin.yaml" cannot be read: it is not UTF-8 text"`,
    );
  });

  test('shows at most a hundred mistakes and says how many more there are', async () => {
    const project = await makeProject();
    const many = Array.from({ length: 250 }, (_, index) => `wrong${index}: 1\n`).join('');
    const error = await project
      .load(`pipeline: shop\n${source}\n${sinks}\n${many}`)
      .catch((thrown: unknown) => thrown);
    const { mistakes } = error as PipelineFileError;
    expect(mistakes).toHaveLength(100);
    expect(mistakes.at(-1)!.hint).toContain('(150 more mistakes are not shown)');
  });
});
