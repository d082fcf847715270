import { Secret } from '@pgsilo/plugin';
import { describe, expect, it } from 'vitest';
import { jsonLogger, textLogger } from '../src/logger.ts';
import { styleFor } from '../src/terminal/style.ts';

const password = 'hunter2-hunter2';
const look = { style: styleFor(false), times: true, now: () => new Date('2026-11-21T02:00:00Z') };

describe('logs', () => {
  it('are lines for people, each in one line but for its message', () => {
    const lines: string[] = [];
    const log = textLogger('info', (line) => lines.push(line), look);
    log.debug('hidden');
    log.info('stored', { unit: 'a\u202Eb', bytes: 5, note: 'two words', at: undefined });
    expect(lines).toEqual([
      '2026-11-21T02:00:00.000Z  info   stored  unit=a\\u{202e}b  bytes=5  note="two words"',
    ]);
  });

  it('hold no secret, wherever it stands', async () => {
    const secret = new Secret(password);
    const lines: string[] = [];
    const fields = {
      text: `password=${password}`,
      secret,
      error: new Error(`cannot log in with ${password}`),
      deep: { list: [{ [password]: password }] },
      date: new Date(0),
      big: 5n,
    };
    textLogger('debug', (line) => lines.push(line), look).debug(`tried ${password}`, fields);
    (await jsonLogger('debug', (line) => lines.push(line))).error(`tried ${password}`, fields);
    expect(lines).toHaveLength(2);
    expect(lines.join('\n')).not.toContain(password);
    expect(JSON.parse(lines[1]!)).toMatchObject({
      level: 'error',
      message: 'tried [secret]',
      error: 'cannot log in with [secret]',
      date: '1970-01-01T00:00:00.000Z',
      big: '5',
    });
  });
});
