import { expect, test } from 'vitest';
import { describeOptions } from '@pgsilo/plugin';
import { options } from '../src/options.ts';

test('every option has a default, a description and an example', () => {
  for (const row of describeOptions(options)) {
    expect(row).toMatchObject({ required: false, description: expect.stringMatching(/\.$/) });
    expect(row.default).toBeDefined();
    expect(row.example).toBeDefined();
  }
  expect(describeOptions(options).map((row) => row.name)).toEqual(['level', 'blockSize']);
});

test.each([
  { level: 0 },
  { level: 20 },
  { level: 2.5 },
  { blockSize: '1KiB' },
  { blockSize: '17MiB' },
  { blockSize: 5 },
  { speed: 1 },
])('refuses %j', (wrong) => {
  expect(options.safeParse(wrong).success).toBe(false);
});
