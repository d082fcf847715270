import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { openDocument, sealDocument } from '../src/checksum.ts';

const document = { format: 1, name: 'x "checksum": "0"', nested: { checksum: 'y' }, list: [1, null] };

describe('sealed documents', () => {
  it('open to what was sealed', () => {
    expect(openDocument(sealDocument(document), 'a.json')).toMatchObject(document);
  });

  it('are refused when any one byte is changed, or any end is cut', () => {
    const sealed = sealDocument(document);
    for (let index = 0; index < sealed.length; index++) {
      const altered = Uint8Array.from(sealed);
      altered[index] = altered[index]! ^ 1;
      expect(() => openDocument(altered, 'a.json'), `byte ${index}`).toThrow(/a\.json/);
      expect(() => openDocument(sealed.subarray(0, index), 'a.json'), `cut at ${index}`).toThrow(/a\.json/);
    }
  });

  it('can be checked with sed and sha256sum, as docs/format.md says', () => {
    const sealed = sealDocument(document);
    const zeroed = execFileSync('sed', [`s/^  "checksum": "[0-9a-f]*"/  "checksum": "${'0'.repeat(64)}"/`], {
      input: sealed,
    });
    const sum = execFileSync('sha256sum', { input: zeroed }).toString().slice(0, 64);
    expect(Buffer.from(sealed).toString()).toContain(`"checksum": "${sum}"`);
  });
});
