import { describe, expect, test } from 'vitest';
import { makeProject } from './project.ts';

const cases: Readonly<Record<string, string>> = {
  'a tab': 'pipeline: shop\nsource:\n\tuse: databases\n',
  'a second document': 'pipeline: shop\n---\npipeline: other\n',
  'a second colon': 'pipeline: shop\nsource: use: databases\n',
  'an unclosed quote': 'pipeline: "shop\nsource: {}\n',
  'text after a quoted value': 'pipeline: "shop"keeper\n',
  'wrong indentation': 'source:\n    use: databases\n  connection: x\n',
  'a reserved character': 'pipeline: @shop\n',
  'an unclosed map': 'sinks: { a: 1\npipeline: shop\n',
  'a key given twice': 'pipeline: shop\nlimits: { jobs: 1, jobs: 2 }\npipeline: other\n',
  'a tag': 'pipeline: !custom shop\n',
  'an old version': '%YAML 1.1\n---\npipeline: shop\n',
  'a list as a key': '? [a]\n: 1\n',
  'an unknown alias': 'pipeline: *name\n',
  'an alias to itself': 'labels: &l { a: *l }\n',
  'a wrong merge': 'limits: { <<: 5 }\n',
  'a list': '- use: folder\n',
  'a single value': 'shop\n',
  'only comments': '# nothing\n',
  'a control character': 'pipeline: shop\u001B[31m\n',
  'a name that JavaScript owns': '{"__proto__": {"jobs": 1}}\n',
};

describe('what is not YAML is told with its place', () => {
  for (const [name, text] of Object.entries(cases)) {
    test(`${name}`, async () => {
      const project = await makeProject();
      await expect(project.mistakes(text)).resolves.toMatchSnapshot();
    });
  }
});

describe('placeholders inside { } and [ ]', () => {
  test('are to be quoted', async () => {
    const project = await makeProject();
    const text = await project.mistakes(`pipeline: shop
source: { use: databases, connection: \${env:DB} }
sinks:
  - { use: bucket, bucket: x-\${env:B}-y, tags: { a: 1 } }
  - [\${file:./x}]
`);
    expect(text).toMatchInlineSnapshot(`
      "shop.yaml:2:39 inside { } and [ ] a placeholder has to be quoted
        1 | pipeline: shop
      > 2 | source: { use: databases, connection: \${env:DB} }
          |                                       ^^^^^^^^^
        3 | sinks:
        4 |   - { use: bucket, bucket: x-\${env:B}-y, tags: { a: 1 } }
        write "\${env:DB}"

      shop.yaml:4:28 inside { } and [ ] a placeholder has to be quoted
        2 | source: { use: databases, connection: \${env:DB} }
        3 | sinks:
      > 4 |   - { use: bucket, bucket: x-\${env:B}-y, tags: { a: 1 } }
          |                            ^^^^^^^^^^^^
        5 |   - [\${file:./x}]
        write "x-\${env:B}-y"

      shop.yaml:5:6 inside { } and [ ] a placeholder has to be quoted
        3 | sinks:
        4 |   - { use: bucket, bucket: x-\${env:B}-y, tags: { a: 1 } }
      > 5 |   - [\${file:./x}]
          |      ^^^^^^^^^^^
        write "\${file:./x}""
    `);
  });

  test('are no matter where they are quoted', async () => {
    const project = await makeProject();
    const text = await project.mistakes('a: { b: "${env:B}", c: \'${env:C}\' }\nb: [1\n');
    expect(text).not.toContain('placeholder');
    expect(text).toContain('is not closed');
  });
});
