import { inspect } from 'node:util';
import { redact } from '@pgsilo/plugin';
import { describe, expect, test } from 'vitest';
import { formatMistakes, PipelineFileError } from '../src/index.ts';
import type { Project } from './project.ts';
import { makeProject } from './project.ts';

/** All that anybody could print of a failed load. */
async function everythingSaid(project: Project, text: string): Promise<string> {
  const error = await project.load(text).then(
    () => expect.fail('accepted'),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof PipelineFileError)) throw error;
  const { message, hint, mistakes } = error;
  return [
    message,
    hint,
    JSON.stringify(error),
    inspect(mistakes, { depth: Infinity, breakLength: Infinity }),
    inspect(error, { depth: Infinity, showHidden: false }),
    formatMistakes(mistakes, { color: true }),
  ].join('\n');
}

const env = {
  PASSWORD: 'env-pass-4711',
  DB: 'postgres://backup:url%2Dpass-0815@db.example.org/shop',
  DIGITS: '90210',
};

describe('a secret is never said', () => {
  const secrets = ['literal-one', 'env-pass-4711', 'url%2Dpass-0815', 'url-pass-0815', '31337', '90210'];
  const files: Readonly<Record<string, string>> = {
    'values of all kinds beside mistakes': `pipelin: shop
source: { use: databases, connection: "\${env:DB}", fingerprint: x }
sinks:
  - use: bucket
    secretKey: literal-one
    bucket: "\${env:PASSWORD}/x"
    accessKey: 31337
    pin: \${env:PASSWORD}
`,
    'a plugin that quotes what it was given': `pipeline: shop
source: { use: databases, connection: x }
sinks:
  - { use: bucket, bucket: "A \${env:PASSWORD}", pin: "x\${env:DIGITS}", secretKey: "31337" }
`,
    'secrets of the wrong type': `pipeline: shop
source: { use: databases, connection: [literal-one, "\${env:PASSWORD}"] }
sinks:
  - use: bucket
    bucket: abc
    secretKey: { value: literal-one, number: 31337 }
    accessKey:
      - 31337
`,
    'misspelt names': `pipeline: shop
source: { use: databases, conn: literal-one }
sinks:
  - use: bucket
    bucket: abc
    secretKye: literal-one
    accesKey: 31337
    encryption: { mode: kms, keyID: literal-one }
`,
    'an unknown plugin': `pipeline: shop
source: { use: databse, connection: "postgres://u:literal-one@h/d" }
sinks:
  - use: nothing
    password: literal-one
    url: https://user:literal-one@h/
    "secretAccessKey": "literal-one"
    settings: host=x password=literal-one
    privateKey: |
      -----BEGIN literal-one
      literal-one
`,
    'a file that does not parse': `pipeline: shop
source: { use: databases, connection: postgres://u:literal-one@h/d
password: literal-one
token: "literal-one" literal-one
key: |
  literal-one
   literal-one
`,
    'text that the parser quotes': 'pipeline: shop\nsource: x\npassword: "a"literal-one\n',
    'text that the parser quotes after a bracket': 'password: }literal-one\n',
    'text that the parser quotes after |': 'password: |literal-one\n  x\n',
    'text that YAML takes for a tag': 'password: !literal-one\n',
    'text that YAML takes for an alias': 'password: *literal-one\n',
    'text that YAML takes for an anchor': 'password: &literal-one\n',
    'text that YAML takes for a comment': 'password: #literal-one\n',
    'text that YAML takes for an escape': 'password: "\\uliteral-one"\n',
    'text that YAML takes for a reserved character': 'password: `literal-one\n',
    'comments beside a mistake': `pipeline: shop
# connection: postgres://u:literal-one@h/d
source: { use: databases, connection: x, fingerprint: nope } # password: literal-one
#   password: |
#     literal-one
sinks: [{ use: bucket, bucket: abc, storageClass: nope }] # https://u:literal-one@h/
`,
    'one value given in two places': `x-secret: &s literal-one
pipeline: shop
source: { use: databases, connection: *s, fingerprint: nope }
sinks: [{ use: bucket, bucket: abc, secretKey: *s, storageClass: nope }]
`,
  };
  for (const [index, [name, text]] of Object.entries(files).entries()) {
    test(`${name}`, async () => {
      // The process remembers secrets: with the values of another test, this one would prove nothing.
      const own = (part: string): string =>
        part.replaceAll(/literal-one|4711|0815|31337|90210/g, `$&${index}`);
      const ownEnv = Object.fromEntries(Object.entries(env).map(([key, value]) => [key, own(value)]));
      const said = await everythingSaid(await makeProject(ownEnv), own(text));
      for (const secret of secrets) expect(said).not.toContain(own(secret));
      // The places of the mistakes are shown all the same.
      expect(said).toMatch(/> +\d+ \| /);
    });
  }

  test('nor one in a base whose value is replaced', async () => {
    const project = await makeProject(env);
    await project.write({
      'base.yaml': `sinks:
  - use: bucket
    secretKey: literal-base
limit: {}
source: { use: databases, connection: "postgres://a:literal-base@h/d" }
`,
    });
    const said = await everythingSaid(
      project,
      'pipeline: shop\nextends: base.yaml\nsource: { connection: x }\nsinks: [{ use: folder, path: /b }]\n',
    );
    expect(said).not.toContain('literal-base');
    expect(said).toContain('unknown option \\"limit\\"');
  });

  test('nor by a pipeline that was loaded', async () => {
    const project = await makeProject(env);
    const pipeline = await project.load(`pipeline: shop
source: { use: databases, connection: "\${env:DB}" }
sinks: [{ use: bucket, bucket: abc, secretKey: literal-one, accessKey: "k-\${env:PASSWORD}" }]
`);
    const said = inspect(pipeline, { depth: Infinity }) + JSON.stringify(pipeline.sinks[0]!.options);
    for (const secret of secrets) expect(said).not.toContain(secret);
    expect(said).toContain('[secret]');
  });

  test('and texts of others are cleaned of it afterwards, of the harmless parts of a URL not', async () => {
    const project = await makeProject({ ...env, USER_NAME: 'backup-user', HOST: 'db.example.org' });
    await project.load(`pipeline: shop
source: { use: databases, connection: "postgres://\${env:USER_NAME}:\${env:PASSWORD}@\${env:HOST}/shop" }
sinks: [{ use: bucket, bucket: abc, secretKey: literal-one }]
`);
    expect(redact('db.example.org: backup-user with env-pass-4711 or literal-one')).toBe(
      'db.example.org: backup-user with [secret] or [secret]',
    );
  });
});

describe('frames', () => {
  test('show the placeholder of a secret, and its neighbours', async () => {
    const project = await makeProject(env);
    const text = await project.mistakes(`pipeline: shop
source:
  use: databases
  connection: postgres://u:\${env:PASSWORD}@h/d
  fingerprint: nope
  units: [tokens, passwords]
sinks: [{ use: bucket, bucket: abc, secretKey: literal-one, storageClass: GLACIR }]
`);
    expect(text).toMatchInlineSnapshot(`
      "shop.yaml:5:16 source.fingerprint: expected one of "counts", "content", "none", not "nope"
        3 |   use: databases
        4 |   connection: [secret]\${env:PASSWORD}[secret]
      > 5 |   fingerprint: nope
          |                ^^^^
        6 |   units: [tokens, passwords]
        7 | sinks: [{ use: bucket, bucket: abc, secretKey: [secret], storageClass: GLACIR }]
        did you mean "none"?

      shop.yaml:7:75 sinks[0].storageClass: expected one of "STANDARD", "STANDARD_IA", "GLACIER", not "GLACIR"
        5 |   fingerprint: nope
        6 |   units: [tokens, passwords]
      > 7 | sinks: [{ use: bucket, bucket: abc, secretKey: [secret], storageClass: GLACIR }]
          |                                                                        ^^^^^^
        did you mean "GLACIER"?"
    `);
  });
});
