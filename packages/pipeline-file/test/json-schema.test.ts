import type { PluginDefinition } from '@pgsilo/plugin';
import { Ajv } from 'ajv';
import { beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { pipelineJsonSchema } from '../src/index.ts';
import { fixturePath } from './project.ts';

let schema: Record<string, any>;
let mistakes: (yaml: string) => string[];

beforeAll(async () => {
  const plugins: PluginDefinition[] = [];
  for (const name of ['source-databases', 'transform-squeeze', 'sink-bucket', 'sink-folder']) {
    plugins.push(((await import(fixturePath(name))) as { default: PluginDefinition }).default);
  }
  schema = pipelineJsonSchema(plugins);
  const validate = new Ajv({
    strict: true,
    allErrors: true,
    validateFormats: false,
    strictRequired: false,
  }).compile(schema);
  mistakes = (yaml) => {
    if (validate(parse(yaml))) return [];
    const found = validate.errors!.filter((error) => !['if', 'anyOf', 'oneOf'].includes(error.keyword));
    return [...new Set(found.map((error) => `${error.instancePath} ${error.keyword}`))];
  };
});

const rest = 'pipeline: shop\nsource: { use: databases, connection: x }\n';

describe('the schema accepts', () => {
  const good: Readonly<Record<string, string>> = {
    'all options': `${rest}transforms: [{ use: squeeze, level: 3 }]
sinks:
  - { use: bucket, bucket: abc, name: b, required: false, parallel: auto, encryption: { mode: none } }
  - { use: folder, path: /b }
limits: { jobs: 4, memory: 1GB }
x-anything: { a: 1 }
`,
    retention: `${rest}sinks: [{ use: folder, path: /b, retention: { daily: 30, timezone: Asia/Kathmandu } }]
retention: { last: 3, within: 7d, rules: [{ where: { plan: demo }, weekly: 4, departed: 2y }] }
prune: after-backup
`,
    'placeholders for numbers, sizes and choices': `${rest}sinks:
  - { use: bucket, bucket: "\${env:A}", parallel: "\${env:B}", partSize: "\${env:C}", storageClass: "\${env:D}" }
limits: { jobs: "\${file:jobs}" }
`,
    'plugins from elsewhere': `${rest}sinks: [{ use: ./x.ts, a: 1 }, { use: "@acme/x", b: 2 }, { use: pgsilo-sink-y }]\n`,
    'a base without a name': 'limits: { jobs: 2 }\n',
    'a file that extends another': 'pipeline: shop\nextends: ./base.yaml\n',
  };
  for (const [name, yaml] of Object.entries(good)) test(`${name}`, () => expect(mistakes(yaml)).toEqual([]));
});

describe('the schema finds', () => {
  const bad: Readonly<Record<string, readonly [string, string]>> = {
    'an unknown option': [
      `${rest}sinks: [{ use: folder, path: /b, pat: x }]`,
      '/sinks/0 additionalProperties',
    ],
    'an option of another plugin': [
      `${rest}sinks: [{ use: folder, path: /b, bucket: x }]`,
      '/sinks/0 additionalProperties',
    ],
    'a missing option': [`${rest}sinks: [{ use: folder }]`, '/sinks/0 required'],
    'a missing use': [`${rest}sinks: [{ path: /b }]`, '/sinks/0 required'],
    'an unknown plugin': [`${rest}sinks: [{ use: floder, path: /b }]`, '/sinks/0/use const'],
    'a wrong choice': [
      `${rest}sinks: [{ use: bucket, bucket: abc, storageClass: X }]`,
      '/sinks/0/storageClass enum',
    ],
    'a wrong number': [
      `${rest}transforms: [{ use: squeeze, level: 99 }]\nsinks: [{ use: folder, path: /b }]`,
      '/transforms/0/level maximum',
    ],
    'checks that are no list': [`${rest}sinks: [{ use: folder, path: /b }]\nchecks: {}`, '/checks type'],
    'a time of retention': [
      `${rest}sinks: [{ use: folder, path: /b }]\nretention: { within: 30 days }`,
      '/retention/within pattern',
    ],
    'a rule of retention without labels': [
      `${rest}sinks: [{ use: folder, path: /b, retention: { rules: [{ last: 3 }] } }]`,
      '/sinks/0/retention/rules/0 required',
    ],
    'missing sinks': [rest, ' required'],
  };
  for (const [name, [yaml, mistake]] of Object.entries(bad)) {
    test(`${name}`, () => expect(mistakes(yaml)).toContain(mistake));
  }
});

describe('the schema', () => {
  test('describes every option for an editor', () => {
    const { bucket, secretKey, partSize, name, use } = schema['definitions']['sink-bucket'].properties;
    expect(bucket).toMatchObject({ description: 'Name of the bucket.', examples: ['acme-backups'] });
    expect(secretKey).toMatchObject({ description: 'Secret key', writeOnly: true });
    expect(partSize).toMatchObject({ default: '64MiB', examples: ['64MiB'] });
    expect(name.description).toContain('called');
    expect(use).toEqual({ const: 'bucket', description: 'A bucket of an object store' });
    expect(schema['properties'].limits.properties.memory).toMatchObject({ default: '512MB' });
  });

  test('holds only words of draft 07', () => {
    expect(schema['$schema']).toContain('draft-07');
    expect(JSON.stringify(schema)).not.toMatch(/"(?:\$defs|prefixItems|example|secret)":/);
  });
});
