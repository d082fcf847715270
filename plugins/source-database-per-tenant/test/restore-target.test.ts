import { expect, test } from 'vitest';
import type { RestoreRequest } from '@pgsilo/plugin';
import { looksRestored, targetNames } from '@pgsilo/postgres';

const requestOf = (id: string, replace = false): RestoreRequest =>
  // Nothing else of a request has a part in names.
  ({ backup: { id }, replace }) as unknown as RestoreRequest;
const request = requestOf('20261121T020000Z-7f3a9c');

test('a short name is kept whole in the names of its copies', () => {
  expect(targetNames(request, 'acme')).toEqual({
    live: 'acme',
    target: 'acme_restored_20261121t020000z_7f3a9c',
    kept: 'acme_before_20261121t020000z_7f3a9c',
  });
  expect(targetNames(requestOf('20261121T020000Z-7f3a9c', true), 'acme').target).toBe('acme');
});

test('names that are alike up to their end have copies of different names, of one run too', () => {
  for (const stem of ['x'.repeat(62), 'É'.repeat(31), 'customers_of_production_in_europe_number_']) {
    const [one, two] = [targetNames(request, `${stem}1`), targetNames(request, `${stem}2`)];
    const names = [...Object.values(one), ...Object.values(two)];
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(Buffer.byteLength(name)).toBeLessThanOrEqual(63);
    expect(targetNames(request, `${stem}1`)).toEqual(one);
  }
});

test('every copy is known as one by its name, also of a later attempt and with a number behind it', () => {
  for (const id of ['20261121T020000Z-7f3a9c', '20261121T020000Z-7f3a9c.2']) {
    for (const live of ['acme', 'x'.repeat(63)]) {
      const { target, kept } = targetNames(requestOf(id), live);
      for (const name of [target, kept, `${kept.slice(-60)}_2`])
        expect([name, looksRestored(name)]).toEqual([name, true]);
      expect(looksRestored(live)).toBe(false);
    }
  }
  expect(looksRestored('acme_restored_by_hand')).toBe(false);
});
