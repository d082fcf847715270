import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeProject } from './project.ts';

/** A pipeline whose sink's path is the given YAML. */
function withPath(yaml: string): string {
  return `pipeline: shop\nsource: { use: databases, connection: service=shop }\nsinks:\n  - use: folder\n    path: ${yaml}\n`;
}

describe('placeholders', () => {
  const env = {
    HOST: 'db1',
    EMPTY: '',
    STRUCTURE: '{ a: 1 }\nsinks: []',
    NESTED: '${env:HOST}',
    SPACE: ' x ',
  };
  const filled: readonly (readonly [string, string])[] = [
    ['${env:HOST}', 'db1'],
    ['/a/${env:HOST}/${env:HOST}.d', '/a/db1/db1.d'],
    ['${env:STRUCTURE}', '{ a: 1 }\nsinks: []'],
    ['${env:NESTED}', '${env:HOST}'],
    ['"${env:SPACE}"', ' x '],
    ['$${env:HOST}', '${env:HOST}'],
    ['a$${b}c${env:HOST}', 'a${b}cdb1'],
    ['$HOST and $(x) and $1', '$HOST and $(x) and $1'],
    ['${file:one.txt}', 'one'],
    ['${file:lines.txt}', 'a\nb'],
    ['${file:sub/win.txt}', 'x'],
    ['${file:one.txt}-${env:HOST}', 'one-db1'],
  ];
  for (const [written, value] of filled) {
    test(`${written} is filled in`, async () => {
      const project = await makeProject(env);
      await project.write({ 'one.txt': 'one\n', 'lines.txt': 'a\nb\n', 'sub/win.txt': 'x\r\n' });
      const pipeline = await project.load(withPath(written));
      expect(pipeline.sinks[0]!.options['path']).toBe(value);
    });
  }

  const refused: readonly (readonly [string, string])[] = [
    ['${env:HSOT}', 'the environment variable HSOT is not set did you mean "HOST"?'],
    ['${env:NOWHERE_AT_ALL}', 'the environment variable NOWHERE_AT_ALL is not set export it before'],
    ['${env:toString}', 'the environment variable toString is not set'],
    ['${env:EMPTY}', 'the environment variable EMPTY is empty'],
    ['${env:A-B}', '"A-B" cannot be the name of a variable'],
    ['${HOST}', '"${HOST}" is not a placeholder write ${env:HOST}; for the characters themselves write $${'],
    ['${evn:HOST}', '"${evn:HOST}" is not a placeholder did you mean "env"?'],
    ['${vault:secret/x}', '"${vault:secret/x}" is not a placeholder for the characters'],
    ['${env:HOST', '"${env:HOST" has no closing } for the characters themselves write $${'],
    ['${file:missing.txt}', 'the file "missing.txt" cannot be read: there is no such file'],
    ['${file:folder}', 'the file "folder" cannot be read: it is a folder'],
    ['${file:blank.txt}', 'the file "blank.txt" is empty'],
    ['${file:zero.txt}', 'the file "zero.txt" holds a zero byte'],
    ['${file:binary.txt}', 'the file "binary.txt" cannot be read: it is not UTF-8 text'],
    ['${file:large.txt}', 'the file "large.txt" cannot be read: it is larger than 65536 bytes'],
    ['${file:pipe}', 'the file "pipe" cannot be read: it is not a regular file'],
    ['"${file: }"', '${file:} names no file'],
  ];
  for (const [written, message] of refused) {
    test(`${written} is refused`, async () => {
      const project = await makeProject(env);
      await project.write({
        'blank.txt': '\n',
        'zero.txt': 'a\0b',
        'binary.txt': Buffer.from([0xff, 0xfe]),
        'large.txt': 'x'.repeat(65_537),
        'folder/x': '',
      });
      execFileSync('mkfifo', [path.join(project.folder, 'pipe')]);
      const text = await project.mistakes(withPath(written));
      const [first, ...others] = text.split('\n');
      expect(first).toMatch(/^shop\.yaml:5:11 sinks\[0\]\.path: /);
      expect(`${first} ${others.at(-1)!.trim()}`).toContain(message);
      expect(text.match(/shop\.yaml/g)).toHaveLength(1);
    });
  }

  test('what follows from an unset variable is not reported as well', async () => {
    const project = await makeProject();
    const text = await project.mistakes(`pipeline: \${env:NAME}
source: { use: "\${env:USE}", connection: x }
transforms: [{ use: squeeze, level: "\${env:LEVEL}" }]
sinks: [{ use: bucket, bucket: abc, storageClass: "\${env:CLASS}", encryption: { mode: "\${env:MODE}" } }]
`);
    expect(text.match(/^shop.*$/gm)).toMatchInlineSnapshot(`
      [
        "shop.yaml:1:11 pipeline: the environment variable NAME is not set",
        "shop.yaml:2:16 source.use: the environment variable USE is not set",
        "shop.yaml:3:37 transforms[0].level: the environment variable LEVEL is not set",
        "shop.yaml:4:51 sinks[0].storageClass: the environment variable CLASS is not set",
        "shop.yaml:4:87 sinks[0].encryption.mode: the environment variable MODE is not set",
      ]
    `);
  });

  test('give numbers and truth values where those are wanted', async () => {
    const project = await makeProject({ LEVEL: '9', NO: 'false', JOBS: '2', MANY: '4', HOST: '12345' });
    const pipeline = await project.load(`pipeline: shop
source: { use: databases, connection: x }
transforms: [{ use: squeeze, level: "\${env:LEVEL}", checksum: "\${env:NO}" }]
sinks:
  - { use: folder, path: "\${env:HOST}", required: "\${env:NO}" }
  - { use: bucket, bucket: "\${env:HOST}", parallel: "\${env:MANY}" }
limits: { jobs: "\${env:JOBS}" }
`);
    expect(pipeline.transforms[0]!.options).toEqual({ level: 9, checksum: false });
    expect(pipeline.limits.jobs).toBe(2);
    expect(pipeline.sinks[0]).toMatchObject({ required: false, options: { path: '12345' } });
    expect(pipeline.sinks[1]!.options).toMatchObject({ bucket: '12345', parallel: 4 });
  });

  test('that do not hold such a value are named, their values not', async () => {
    const project = await makeProject({
      LEVEL: 'nine-lives',
      TWO: '2',
      CLASS: 'GLACIR',
      BUCKET: 'No Bucket',
    });
    const text = await project.mistakes(`pipeline: shop
source: { use: databases, connection: x }
transforms:
  - { use: squeeze, level: "\${env:LEVEL}" }
  - { use: squeeze, level: "1\${env:TWO}" }
  - { use: "\${env:BUCKET}" }
sinks: [{ use: bucket, bucket: "\${env:BUCKET}", storageClass: "\${env:CLASS}" }]
`);
    expect(text).not.toMatch(/nine|GLACIR|No Bucket/);
    expect(text).toMatchInlineSnapshot(`
      "shop.yaml:4:28 transforms[0].level: expected a number, not what "\${env:LEVEL}" holds
        2 | source: { use: databases, connection: [secret] }
        3 | transforms:
      > 4 |   - { use: squeeze, level: "\${env:LEVEL}" }
          |                            ^^^^^^^^^^^^^^
        5 |   - { use: squeeze, level: "1\${env:TWO}" }
        6 |   - { use: "\${env:BUCKET}" }

      shop.yaml:5:28 transforms[1].level: expected a number, not this text
        3 | transforms:
        4 |   - { use: squeeze, level: "\${env:LEVEL}" }
      > 5 |   - { use: squeeze, level: "1\${env:TWO}" }
          |                            ^^^^^^^^^^^^^
        6 |   - { use: "\${env:BUCKET}" }
        7 | sinks: [{ use: bucket, bucket: "\${env:BUCKET}", storageClass: "\${env:CLASS}" }]

      shop.yaml:6:12 transforms[2].use: there is no transform "\${env:BUCKET}"
        4 |   - { use: squeeze, level: "\${env:LEVEL}" }
        5 |   - { use: squeeze, level: "1\${env:TWO}" }
      > 6 |   - { use: "\${env:BUCKET}" }
          |            ^^^^^^^^^^^^^^^
        7 | sinks: [{ use: bucket, bucket: "\${env:BUCKET}", storageClass: "\${env:CLASS}" }]
        every transform that comes with pgsilo: "squeeze"; others are npm packages that you install, or files: use: ./my-plugin.ts

      shop.yaml:7:32 sinks[0].bucket: "\${env:BUCKET}" cannot be a bucket
        5 |   - { use: squeeze, level: "1\${env:TWO}" }
        6 |   - { use: "\${env:BUCKET}" }
      > 7 | sinks: [{ use: bucket, bucket: "\${env:BUCKET}", storageClass: "\${env:CLASS}" }]
          |                                ^^^^^^^^^^^^^^^

      shop.yaml:7:63 sinks[0].storageClass: expected one of "STANDARD", "STANDARD_IA", "GLACIER", not what "\${env:CLASS}" holds
        5 |   - { use: squeeze, level: "1\${env:TWO}" }
        6 |   - { use: "\${env:BUCKET}" }
      > 7 | sinks: [{ use: bucket, bucket: "\${env:BUCKET}", storageClass: "\${env:CLASS}" }]
          |                                                               ^^^^^^^^^^^^^^
        did you mean "GLACIER"?"
    `);
  });

  test('are not filled in in names', async () => {
    const project = await makeProject({ KEY: 'a' });
    const text = await project.mistakes(`${withPath('/b')}labels: { "\${env:KEY}": x }\n`);
    expect(text).toContain('a placeholder stands in a name');
  });
});
